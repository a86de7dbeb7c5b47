"""Kiểm tra sổ chứng cứ / verifies a book of evidence: python3 verifier.py DIR --key VKEY --expect SITE=SIZE:ROOTHEX

Stands alone: standard library and `cryptography`. Exit code 0: the book holds; 1: it does not. Each line has `seq` and
`prev` (leaf hash of the line before); RFC 6962 roots over the stored bytes are signed in C2SP checkpoints. Key and heads
(a --expect for each site) must come from outside the book (a signed report), or else it only vouches for itself."""

import argparse, base64, collections, functools, hashlib, json, pathlib, re, sys  # noqa: E401, I001 - to be read whole

Judgement = collections.namedtuple("Judgement", "site lines anchored root intact complete first_bad what")


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def roots_of(leaves: list[bytes]) -> list[bytes]:  # the Merkle root after each leaf
    edge, roots = list[bytes](), list[bytes]()
    for size, node in enumerate(leaves):
        while size & 1:
            node, size = _sha(b"\x01", edge.pop(), node), size >> 1
        edge.append(node)
        roots.append(functools.reduce(lambda right, left: _sha(b"\x01", left, right), edge[::-1]))
    return roots


def read_key(vkey: str) -> tuple[str, bytes, bytes]:
    name, _, rest = vkey.partition("+")
    raw = base64.b64decode(rest[9:])
    mark = _sha(name.encode(), b"\n", raw)[:4]
    if vkey != f"{name}+{mark.hex()}+{base64.b64encode(raw).decode()}" or len(raw) != 33 or raw[:1] != b"\x01":
        raise ValueError("không phải khóa công khai / not a public key")
    return name, mark, raw[1:]


def read_note(note: str, key: tuple[str, bytes, bytes]) -> tuple[str, int, bytes]:  # origin, size, root
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    (text, _, signatures), start = note.rpartition("\n\n"), f"— {key[0]} "
    found = [(line, base64.b64decode(line.split(" ")[-1])) for line in signatures.split("\n")]
    try:
        mine = next(raw[4:] for line, raw in found if line == start + base64.b64encode(key[1] + raw[4:]).decode())
        Ed25519PublicKey.from_public_bytes(key[2]).verify(mine, f"{text}\n".encode())
    except Exception:  # none of this key, a wrong signature, or bytes that are no key
        raise ValueError("not signed by this key") from None
    origin, size, root = text.split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


def read_line(raw: bytes) -> tuple[object, object, object]:
    try:
        body = json.loads(raw)
        return body["seq"], body["prev"], body["site"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None, None, None


def find_bad(leaves: list[bytes], lines: list[bytes], marks: dict[int, bytes], held: int, site: str) -> int:
    """First line past the signed prefix `held` that breaks the chain (0: none); its neighbours say which one it is."""
    rows, prev = [read_line(raw) for raw in lines], ["", *(leaf.hex() for leaf in leaves)]
    at = next((i for i in range(held + 1, len(rows) + 1) if rows[i - 1] != (i, prev[i - 1], site)), 0)
    (seq, claim, place), before = rows[at - 1], rows[max(at - 2, 0)]
    twin = seq == at - 1 and claim == before[1] and leaves[at - 1] != leaves[at - 2]
    if at - 1 <= held or place != site or (seq != at and not twin):
        return at
    if at < len(rows):
        return at - 1 if rows[at][1] == prev[at] else at
    claimed = [] if twin else [bytes.fromhex(str(claim)) if re.fullmatch("[0-9a-f]{64}", str(claim)) else b""]
    mended = roots_of([*leaves[: at - 2], *claimed, leaves[at - 1]])
    return at - 1 if (at - 1 in marks and not twin) or mended[-1] == marks.get(len(mended)) else at


def judge(lines: list[bytes], notes: list[str], vkey: str, heads: dict[str, str]) -> Judgement:
    """Judges a ledger by a key and the kept heads, site ("": any) -> "size:hex root". ValueError: no key, no head."""
    key, marks, origin, wrong = read_key(vkey), dict[int, bytes](), "", 0
    for number, note in enumerate(notes, 1):
        try:
            found, size, root = read_note(note, key)
            if size <= next(reversed(marks), 0) or found != (origin or found) or not found.startswith(key[0] + "/"):
                raise ValueError("out of order, or of another ledger")
            origin, marks[size] = found, root
        except ValueError:
            wrong = wrong or number
    leaves, count, site = [_sha(b"\x00", raw) for raw in lines], len(lines), origin.removeprefix(key[0] + "/")
    expect = heads.get(site, heads.get(""))
    roots, signed, kept = roots_of(leaves), max(marks, default=0), int((expect or "").partition(":")[0] or 0)
    torn = next((size for size in marks if size <= count and roots[size - 1] != marks[size]), 0)
    held = max((size for size in marks if size <= count and not 0 < torn <= size), default=0)
    bad = find_bad(leaves, lines, marks, held, site) if count and marks else 0
    first, intact, complete = bad, False, count >= max(signed, kept)  # complete: the end is there; intact: no change
    if not count or not marks:
        what = "không có dấu ký của khóa này / nothing signed by this key" if count else "sổ rỗng / the book is empty"
    elif torn and not 0 < bad <= torn:
        first, last = held + 1, f"–{torn}" if torn > held + 1 else ""
        what = f"dòng {first}{last} không đúng bản đã ký / line {first}{last} is not what was signed"
    elif bad:
        what = f"dòng {bad} bị sửa, xóa, chèn hoặc đổi chỗ / line {bad} was changed, removed, inserted or moved"
    elif not complete:
        first, intact = count + 1, not wrong
        what = f"bị cắt đuôi, còn {count} dòng / the tail was cut, {count} of {max(signed, kept)} lines are left"
    elif count > signed:
        first, what = signed + 1, f"từ dòng {signed + 1} không có chữ ký / from line {signed + 1} on nothing is signed"
    elif expect is not None and f"{kept}:{roots[max(kept, 1) - 1].hex()}" != expect:
        what = "khác với đầu sổ đã giữ / not the ledger of which that head was kept"
    elif wrong:
        what = f"dấu ký thứ {wrong} không đúng / checkpoint number {wrong} is not right"
    else:
        intact, what = True, f"{count} dòng nguyên vẹn, đều đã ký / {count} lines intact, all signed"
    return Judgement(site, count, held, roots[-1].hex() if roots else "", intact, complete, first or None, what)


def read_book(folder: pathlib.Path, vkey: str, heads: dict[str, str]) -> Judgement:  # OSError, ValueError: unreadable
    content, notes, own = ((folder / name).read_bytes() for name in ("ledger.jsonl", "checkpoints.txt", "key.txt"))
    own_key = own.decode().removesuffix("\n")
    if own_key == own.decode() or vkey not in ("", own_key):
        raise ValueError("key.txt khác khóa đã cho / key.txt is not the key that was given")
    *lines, torn = content.split(b"\n")
    pieces = (notes.decode(errors="replace") + "\n\n").split("\n\n\n")[:-1]
    return judge(lines + [torn + b"\n"] * bool(torn), pieces, own_key, heads)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Kiểm tra sổ chứng cứ / verifies a book of evidence")
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--key", default="", help="khóa công khai in trên báo cáo / public key printed on the report")
    parser.add_argument("--expect", action="append", default=[], metavar="[SITE=]SIZE:ROOTHEX", help="đầu sổ / head")
    parser.error = sys.exit  # type: ignore[assignment, method-assign]  # code 1, not 2
    given, told = parser.parse_args(argv), list[tuple[bool, str, str]]()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    heads = dict(one.rpartition("=")[::2] for one in given.expect)
    inner = [] if (given.dir / "ledger.jsonl").exists() else sorted(p for p in given.dir.glob("*") if p.is_dir())
    for folder in inner or [given.dir]:
        try:
            found = read_book(folder, given.key, heads)
            other = "sổ của trang khác / the book of another site: " * bool(inner and found.site != folder.name)
            what = f"{other}{found.site!a}  {found.what}  {found.lines}:{found.root}"
            told.append((found.intact and found.complete and not other, str(folder), what))
            heads.pop(found.site, None)
        except (OSError, ValueError, ImportError) as error:
            told.append((False, str(folder), str(error)))
    absent = [(False, site, "không có trong sổ / not in the book") for site in heads if site]
    for good, where, what in told + absent:
        print("ĐẠT / OK" if good else "KHÔNG ĐẠT / FAILED", ascii(where), what, sep="  ")
    if not given.key:
        print("CẢNH BÁO / WARNING: khóa lấy từ chính sổ, thiếu --key / the key is the book's own: give --key")
    return 0 if all(good for good, *_ in told + absent) else 1


if __name__ == "__main__":
    sys.exit(main())
