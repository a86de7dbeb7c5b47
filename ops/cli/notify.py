"""`gaccong notify test|ack|status|send`: tells people what turned. `run` and `serve` send by themselves."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.session import Session, emit

if TYPE_CHECKING:
    from monitoring.notices.rounds import Done, Notifier


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Báo tin cho người trực." if vi else "Tells whoever is on call.")
    app.add_typer(group, name="notify")

    @group.command(
        help="Gửi một tin thử tới mọi kênh, hay một kênh." if vi else "Sends a trial to all channels, or one."
    )
    def test(
        ctx: typer.Context,
        channel: Annotated[str, typer.Argument(help="tên kênh" if vi else "channel")] = "",
    ) -> None:
        raise typer.Exit(trial(ctx.obj, channel))

    @group.command(
        help="Nhận việc: từ lúc này không báo lên cấp trên nữa."
        if vi
        else "Takes a trouble: it is not escalated any more."
    )
    def ack(
        ctx: typer.Context,
        site: Annotated[str, typer.Argument(help="tên trang" if vi else "site name")],
        duty: Annotated[str, typer.Argument(help="nhiệm vụ; bỏ trống: mọi việc" if vi else "duty; empty: all")] = "",
        by: Annotated[str, typer.Option(help="họ tên người nhận" if vi else "who takes it")] = "",
    ) -> None:
        raise typer.Exit(take(ctx.obj, site, duty, by))

    @group.command(help="Kênh nào có, tin nào chờ, tin nào đã gửi." if vi else "Channels, letters waiting and sent.")
    def status(ctx: typer.Context) -> None:
        raise typer.Exit(show(ctx.obj))

    @group.command(help="Làm một lượt báo tin ngay." if vi else "Does one round now.")
    def send(ctx: typer.Context) -> None:
        session: Session = ctx.obj
        _channels(session)
        done = round_(session)
        assert done is not None
        _told(session, done)
        raise typer.Exit(1 if done.failed else 0)


def notifier(session: Session) -> "Notifier":
    """The notifier of this configuration."""
    from monitoring.notices.book import Shelf
    from monitoring.notices.rounds import Notifier
    from ops import secrets

    config = session.config
    return Notifier(
        Shelf(config.state / "notices"),
        config.tops["notify"],
        lambda reference: secrets.resolve(reference, config.path.parent),
        session.lang,
    )


def round_(session: Session) -> "Done | None":
    """One round over all sites, and the heartbeat, which stays away while no channel delivers; None without a channel."""
    from monitoring.notices.rounds import beat, troubles_of, unseen_of
    from ops import secrets
    from ops.cli.status import read
    from ops.model import say
    from ops.moment import utcnow

    rules = session.config.tops["notify"]
    done = None
    if rules.channel:
        statuses = read(session)
        troubles = troubles_of(statuses, session.catalog.private, planned_now(session))
        done = notifier(session).round(troubles, unseen_of(statuses), utcnow())
    if rules.heartbeat and not (done and done.mute):  # whoever waits for it is the last one who can notice that we are silent
        trouble = beat(secrets.resolve(rules.heartbeat, session.config.path.parent).reveal().decode().strip())
        if trouble:
            session.tell(
                say("nhịp tim: không gọi được địa chỉ ({t})", "heartbeat: its address was not reached ({t})", t=trouble)
            )
    return done


def planned_now(session: Session) -> Any:
    """site -> True while a maintenance window is in force there."""
    from ops.cli.maintenance import planned

    sites = planned(session)
    return lambda site: site in sites


def _channels(session: Session) -> Any:
    """The channels. Raises UsageError where there is none."""
    from ops.errors import UsageError
    from ops.model import say

    channels = session.config.tops["notify"].channel
    if not channels:
        raise UsageError(
            say("chưa có kênh báo tin nào", "there is no channel yet"),
            say(
                'thêm [notify.channel.thu] url = "file:secrets/thu" (tệp 0600, một dòng mailtos://…) vào tệp cấu hình chính',
                'add [notify.channel.mail] url = "file:secrets/mail" (a 0600 file, one line mailtos://…) to the main file',
            ),
        )
    return channels


def trial(session: Session, name: str) -> int:
    """Sends a trial letter; 1 when a channel does not deliver."""
    from ops.errors import UsageError
    from ops.model import say
    from ops.moment import human, utcnow

    channels = _channels(session)
    if name and name not in channels:
        raise UsageError(
            say("không có kênh {n}", "there is no channel {n}", n=name),
            say("{k}", "{k}", k=", ".join(sorted(channels))),
        )
    sender = notifier(session)
    failed: dict[str, str] = {}
    title = say("[gaccong] tin thử", "[gaccong] a trial").in_(session.lang)
    body = say(
        "Tin thử lúc {t}. Nhận được tin này nghĩa là kênh {c} chạy tốt.",
        "A trial at {t}. If you read this, channel {c} works.",
        t=human(utcnow()),
        c="{c}",
    ).in_(session.lang)
    for one in [name] if name else sorted(channels):
        trouble = sender.post(one, title, body.replace("{c}", one))
        failed |= {one: trouble} if trouble else {}
        session.say(
            say("✗ {c}: {t}", "✗ {c}: {t}", c=one, t=trouble) if trouble else say("✓ {c}: đã gửi", "✓ {c}: sent", c=one)
        )
    if session.json:
        session.document(
            {"sent": [one for one in ([name] if name else sorted(channels)) if one not in failed], "failed": failed}
        )
    return 1 if failed else 0


def take(session: Session, site: str, duty: str, by: str) -> int:
    """Acknowledges what is open at a site."""
    from getpass import getuser

    from monitoring.notices.book import acknowledge
    from ops.errors import UsageError
    from ops.model import say
    from ops.moment import utcnow

    session.sites(site)
    shelf, now = notifier(session).shelf, utcnow()
    with shelf.held():
        book, count = acknowledge(shelf.read(), site, duty, by or getuser(), now)
        if count:
            shelf.write(book)
            shelf.log(now, "acknowledged", site=site, duty=duty, by=by or getuser())
    if not count:
        raise UsageError(
            say("không có việc hỏng nào đã báo ở {s} {d}", "nothing open was told about {s} {d}", s=site, d=duty),
            say("gaccong notify status", "gaccong notify status"),
        )
    session.say(say("đã nhận {n} việc", "{n} taken", n=count))
    if session.json:
        session.document({"acknowledged": count})
    return 0


def show(session: Session) -> int:
    """What is open, waits and went out."""
    from ops.model import Verdict, say

    shelf = notifier(session).shelf
    book, lines = shelf.read(), shelf.lines(20)
    still = [one for one in book.entries.values() if one.verdict is not Verdict.MET]
    if session.json:
        session.document(
            {
                "channels": sorted(session.config.tops["notify"].channel),
                "open": [
                    {
                        "site": one.seen.site,
                        "duty": one.seen.duty,
                        "subject": one.seen.subject,
                        "verdict": one.verdict.value,
                        "told": sorted(one.told),
                        "acknowledged": one.acknowledged,
                        "flapping": bool(one.flapping),
                    }
                    for one in still
                ],
                "waiting": [
                    {"channel": one.channel, "title": one.title, "tries": one.tries, "why": one.words}
                    for one in book.waiting
                ],
                "log": lines,
            }
        )
        return 1 if any(one.tries for one in book.waiting) else 0
    session.say(
        say(
            "kênh: {c}; đang mở: {o}; chờ gửi: {w}",
            "channels: {c}; open: {o}; waiting: {w}",
            c=", ".join(sorted(session.config.tops["notify"].channel)) or "–",
            o=len(still),
            w=len(book.waiting),
        )
    )
    for one in book.waiting:
        session.say(
            say(
                "  chờ: {c} {t} (hỏng {n} lần: {w})",
                "  waiting: {c} {t} (failed {n} times: {w})",
                c=one.channel,
                t=one.title,
                n=one.tries,
                w=one.words or "–",
            )
        )
    for line in lines:
        emit(
            f"  {line.get('time', '')[:19]} {line.get('what', '')} {line.get('channel', '')} {line.get('title', '')} {line.get('why', '')}"
        )
    return 1 if any(one.tries for one in book.waiting) else 0


def _told(session: Session, done: "Done") -> None:
    from ops.model import say

    if session.json:
        session.document({"sent": done.sent, "failed": done.failed, "waiting": done.waiting, "failures": done.failures})
    session.say(
        say(
            "đã gửi {s}, hỏng {f}, còn chờ {w}",
            "sent {s}, failed {f}, waiting {w}",
            s=done.sent,
            f=done.failed,
            w=done.waiting,
        )
    )
    for name, trouble in done.failures.items():
        session.tell(say("kênh {c}: {t}", "channel {c}: {t}", c=name, t=trouble))
