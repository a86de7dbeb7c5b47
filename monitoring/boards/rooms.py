"""The dashboards themselves: on call, site and IPv6, backup."""

from __future__ import annotations

from monitoring.boards.kit import STANDINGS, VERDICTS, Board, Panel, Query

AT = '{site=~"$site"}'
RED = ((None, "green"), (1.0, "red"))
YELLOW = ((None, "green"), (1.0, "yellow"))
DAY = 86400.0
OLD_COPY = ((None, "green"), (2 * DAY, "yellow"), (3.5 * DAY, "red"))
ENDS = ((None, "red"), (7 * DAY, "yellow"), (21 * DAY, "green"))
WHERE = (("site", "Trang"), ("duty", "Việc"), ("subject", "Phần"))


def counted(title: str, level: int, about: str, steps: tuple[tuple[float | None, str], ...]) -> Panel:
    """How many subjects stand at a verdict; 0 is a number too."""
    return Panel(title, "stat", (Query(f"count(gaccong_verdict{AT} == {level}) or vector(0)"),), about, width=6, height=4,
                 steps=steps)


ON_CALL = Board(
    "gaccong-truc-ban", "gác cổng · trực ban", "Cái gì hỏng, từ lúc nào. (What is broken, and since when.)",
    (
        counted("Không đạt", 3, "Số phần đang không đạt. (Broken.)", RED),
        counted("Cảnh báo", 2, "Số phần sắp không đạt. (At risk.)", YELLOW),
        counted("Chưa kiểm tra được", 1, "Không thấy không có nghĩa là tốt. (Unseen is not met.)", ((None, "green"), (1.0, "purple"))),
        Panel("Lần xem gần nhất", "stat", (Query("time() - max(gaccong_last_look_timestamp_seconds)"),),
              "Quá một giờ: không còn ai kiểm tra. (Older than an hour: nobody looks.)", "s", 6, 4,
              steps=((None, "green"), (900.0, "yellow"), (3600.0, "red"))),
        Panel("Cảnh báo đang kêu", "table", (Query('ALERTS{alertstate="firing",alertname!="GaccongWatchdog"}'),),
              "Mỗi tên có một mục trong RUNBOOK.md. (Each has its section in RUNBOOK.md.)", width=24,
              columns=(("alertname", "Cảnh báo"), ("severity", "Mức"), *WHERE)),
        Panel("Đang không đạt, đã bao lâu", "table",
              (Query(f"(time() - gaccong_verdict_since_timestamp_seconds{AT}) and on (site, duty, subject) gaccong_verdict{AT} == 3"),),
              "Thời gian từ lúc kết luận đổi. (How long it has been so.)", "s", columns=WHERE),
        Panel("Cảnh báo, đã bao lâu", "table",
              (Query(f"(time() - gaccong_verdict_since_timestamp_seconds{AT}) and on (site, duty, subject) gaccong_verdict{AT} == 2"),),
              "Thời gian từ lúc kết luận đổi. (How long it has been so.)", "s", columns=WHERE),
        Panel("Kết luận chung của từng trang", "state-timeline", (Query(f"max by (site) (gaccong_site_verdict{AT})", "{{site}}"),),
              "Xấu nhất trong các điều khoản. (The worst of all clauses.)", width=24, names=VERDICTS),
        Panel("Việc lâu chưa ai xem", "bargauge",
              (Query(f"topk(10, time() - min by (duty) (gaccong_last_look_timestamp_seconds{AT}))", "{{duty}}"),),
              "Việc hằng tuần thì vài ngày là thường. (For a weekly duty some days are usual.)", "s"),
        Panel("Điều khoản không đạt", "table", (Query(f"gaccong_clause_verdict{AT} == 3"),),
              "Điều khoản của quy chế đang bị vi phạm. (Clauses that are broken.)", names=VERDICTS,
              columns=(("site", "Trang"), ("policy", "Quy chế"), ("clause", "Điều khoản"))),
    ),
)

SITE = Board(
    "gaccong-trang", "gác cổng · trang và IPv6", "Vào được không, nhanh không, theo từng họ địa chỉ. (Reach and speed, by family.)",
    (
        Panel("IPv4 và IPv6", "state-timeline", (Query(f"gaccong_probe_state{AT}", "{{site}} {{ip_family}}"),),
              "Mỗi phút một lần xem, mỗi họ riêng. (One look a minute, each family by itself.)", width=24, names=STANDINGS),
        Panel("Vì sao", "table", (Query(f"gaccong_probe_reason_info{AT}"),),
              "Lý do của lần xem hỏng gần nhất. (Why the last look failed.)", width=8,
              columns=(("site", "Trang"), ("ip_family", "Họ"), ("reason", "Lý do"))),
        Panel("Tỷ lệ lần xem hỏng trong một giờ", "timeseries",
              (Query(f"site_family:gaccong_probe_failures:ratio_rate1h{AT}", "{{site}} {{ip_family}}"),),
              "Cả những lần hỏng chưa thành sự cố. (Blips included.)", "percentunit", 8, most=1),
        Panel("Chứng thư còn", "bargauge",
              (Query(f"gaccong_probe_certificate_not_after_timestamp_seconds{AT} - time()", "{{site}} {{ip_family}}"),),
              "Thời gian tới lúc chứng thư hết hạn. (Time until it ends.)", "s", 8, steps=ENDS),
        Panel("Thời gian trả lời", "timeseries", (Query(f"gaccong_probe_duration_seconds{AT}", "{{site}} {{ip_family}}"),),
              "Từ câu hỏi tên miền tới byte cuối. (From the first question to the last byte.)", "s"),
        Panel("Từng pha", "timeseries",
              (Query(f"avg by (ip_family, phase) (gaccong_probe_phase_duration_seconds{AT})", "{{ip_family}} {{phase}}"),),
              "Tên miền, kết nối, TLS, chờ máy chủ, tải trang. (DNS, connect, TLS, first byte, transfer.)", "s", stacked=True),
        Panel("Đường đi (nhân hệ điều hành đo)", "timeseries", (Query(f"gaccong_probe_tcp_rtt_seconds{AT}", "{{site}} {{ip_family}}"),),
              "Không bị tải của máy theo dõi làm sai. (Untouched by our own load.)", "s", 8),
        Panel("Mã trả lời", "timeseries", (Query(f"gaccong_probe_http_status_code{AT}", "{{site}} {{ip_family}}"),),
              "200 là tốt. (200 is good.)", "none", 8),
        Panel("Cỡ trang", "timeseries", (Query(f"gaccong_probe_body_size_bytes{AT}", "{{site}} {{ip_family}}"),),
              "Đổi đột ngột: trang lỗi, hoặc bị thay. (A sudden change: an error page, or a defacement.)", "bytes", 8),
        Panel("IPv6 giống IPv4", "bargauge", (Query(f"gaccong_web_ipv6_similarity_ratio{AT}", "{{site}}"),),
              "Dưới một nửa là nội dung khác hẳn. (Below a half the content differs.)", "percentunit", 8,
              steps=((None, "red"), (0.5, "yellow"), (0.8, "green")), most=1),
        Panel("Địa chỉ của tên miền", "timeseries", (Query(f"gaccong_dns_address_addresses{AT}", "{{site}} {{subject}}"),),
              "Số bản ghi A và AAAA. (Number of A and AAAA records.)", width=8),
        Panel("Việc về trang, tên miền, chứng thư", "state-timeline",
              (Query('max by (site, duty) (gaccong_verdict{site=~"$site",duty=~"web[.].+|dns[.].+|tls[.].+|text[.].+"})', "{{site}} {{duty}}"),),
              "Kết luận xấu nhất của từng việc. (The worst verdict of each duty.)", width=8, names=VERDICTS),
    ),
)

BACKUP = Board(
    "gaccong-sao-luu", "gác cổng · sao lưu", "Có bản sao không, tốt không, khôi phục được không. (Are there copies, good ones, restorable ones?)",
    (
        Panel("Tuổi bản sao mới nhất", "stat",
              (Query(f"time() - gaccong_backup_fresh_newest_timestamp_seconds{AT}", "{{site}} {{subject}}"),),
              "Bản mới nhất đã được chứng minh, theo mức. (The newest proved copy, by level.)", "s", steps=OLD_COPY),
        Panel("Ngày có bản sao trong tuần này", "bargauge", (Query(f"gaccong_backup_fresh_day_this_week{AT}", "{{site}} {{subject}}"),),
              "Tuần ISO, giờ Việt Nam; phải đủ ba. (ISO week; three are demanded.)", width=6,
              steps=((None, "red"), (2.0, "yellow"), (3.0, "green")), most=7),
        Panel("Ngày có bản sao trong 7 ngày", "bargauge", (Query(f"gaccong_backup_fresh_day_rolling_7{AT}", "{{site}} {{subject}}"),),
              "Bảy ngày gần nhất. (The last seven days.)", width=6, steps=((None, "red"), (2.0, "yellow"), (3.0, "green")), most=7),
        Panel("Các việc sao lưu", "state-timeline",
              (Query('max by (site, duty) (gaccong_verdict{site=~"$site",duty=~"backup[.].+"})', "{{site}} {{duty}}"),),
              "Kết luận xấu nhất của từng việc. (The worst verdict of each duty.)", width=24, names=VERDICTS),
        Panel("Cỡ dữ liệu được sao lưu", "timeseries", (Query(f"gaccong_backup_contents_bytes{AT}", "{{site}} {{subject}}"),),
              "Phình hay xẹp đột ngột đều đáng hỏi. (Sudden growth or loss is worth a question.)", "bytes"),
        Panel("Lần diễn tập khôi phục gần nhất", "stat",
              (Query(f"time() - gaccong_backup_drill_drilled_timestamp_seconds{AT}", "{{site}} {{subject}}"),),
              "Quá 92 ngày là vi phạm. (Over 92 days is a breach.)", "s", 6,
              steps=((None, "green"), (60 * DAY, "yellow"), (92 * DAY, "red"))),
        Panel("Phần lâu nhất chưa đọc lại", "stat", (Query(f"gaccong_backup_integrity_oldest_unread_seconds{AT}", "{{site}} {{subject}}"),),
              "Dữ liệu không đọc lại có thể đã hỏng. (Unread data may have rotted.)", "s", 6,
              steps=((None, "green"), (60 * DAY, "yellow"), (92 * DAY, "red"))),
        Panel("Khóa của kho", "timeseries", (Query(f"gaccong_backup_fresh_lock_age_seconds{AT}", "{{site}} {{subject}}"),),
              "Khóa cũ hơn một giờ là của tiến trình đã chết. (Older than an hour: of a dead process.)", "s"),
        Panel("Đóng băng việc bỏ bản cũ", "stat", (Query(f"gaccong_backup_anomaly_retention_frozen{AT}", "{{site}} {{subject}}"),),
              "1: có báo động chưa ai xác nhận. (1: an alarm that nobody answered.)", width=12, steps=RED),
    ),
)
