"""The dashboards that count: accounts, yearly review, fleet."""

from __future__ import annotations

from monitoring.boards.kit import STANDINGS, VERDICTS, Board, Panel, Query
from monitoring.boards.rooms import AT, ENDS, RED

PERSONS = 'site=~"$site",duty=~"accounts[.].+"'
SEEN = ((None, "red"), (0.95, "yellow"), (0.99, "green"))
KEPT = ((None, "red"), (0.99, "yellow"), (0.999, "green"))

ACCOUNTS = Board(
    "gaccong-tai-khoan", "gác cổng · tài khoản", "Chỉ đếm, không nêu tên người. (Persons are counted, never named.)",
    (
        Panel("Người đã nghỉ còn tài khoản", "stat",
              (Query('sum by (site) (gaccong_subjects{site=~"$site",duty="accounts.leavers",verdict="broken"})', "{{site}}"),),
              "Phải bằng không. (Must be none.)", width=8, height=5, steps=RED),
        Panel("Đã thu hồi mà còn vào được", "stat",
              (Query('sum by (site) (gaccong_subjects{site=~"$site",duty="accounts.refused",verdict="broken"})', "{{site}}"),),
              "Phải bằng không. (Must be none.)", width=8, height=5, steps=RED),
        Panel("Chưa kiểm tra được", "stat", (Query(f'sum by (site) (gaccong_subjects{{{PERSONS},verdict="unseen"}})', "{{site}}"),),
              "Không thấy không có nghĩa là không có. (Unseen does not mean none.)", width=8, height=5,
              steps=((None, "green"), (1.0, "purple"))),
        Panel("Theo thời gian", "timeseries",
              (Query(f'sum by (duty, verdict) (gaccong_subjects{{{PERSONS},verdict!="met"}})', "{{duty}} {{verdict}}"),),
              "Thu hồi trong bao lâu sau khi nghỉ. (How soon access is revoked.)", stacked=True),
        Panel("Kiểm kê tài khoản", "state-timeline",
              (Query('gaccong_verdict{site=~"$site",duty="accounts.census"}', "{{site}} {{subject}}"),),
              "Tài khoản không rõ chủ, quyền quá cao. (Without an owner, or with too many rights.)", names=VERDICTS),
    ),
)

REVIEW = Board(
    "gaccong-ca-nam", "gác cổng · nhìn lại cả năm", "Cho báo cáo năm; số chính thức ở `gaccong report`. (For the yearly report; the figures "
    "that count are those of `gaccong report`.)",
    (
        Panel("Sẵn sàng từ đầu năm", "stat", (Query('gaccong_availability_ratio{site=~"$site",period="year"}', "{{site}} {{ip_family}}"),),
              "Thời gian vào được, trên thời gian biết được; bảo trì vẫn tính là hỏng. (Up of known time; maintenance counts as down.)",
              "percentunit", 12, 6, steps=KEPT),
        Panel("Biết được", "stat", (Query('gaccong_availability_known_ratio{site=~"$site",period="year"}', "{{site}} {{ip_family}}"),),
              "Dưới 99 % thì số bên trái chưa đủ để báo cáo. (Below 99 % the figure is not enough for a report.)", "percentunit", 12, 6,
              steps=SEEN),
        Panel("Số lần ngừng", "table", (Query(f"gaccong_availability_outages{AT}"),),
              "Theo tháng, quý, năm. (By month, quarter, year.)",
              columns=(("site", "Trang"), ("ip_family", "Họ"), ("period", "Kỳ"))),
        Panel("Lần ngừng dài nhất", "table", (Query(f"gaccong_availability_longest_outage_seconds{AT}"),),
              "Theo tháng, quý, năm. (By month, quarter, year.)", "s",
              columns=(("site", "Trang"), ("ip_family", "Họ"), ("period", "Kỳ"))),
        Panel("Phần thời gian không đạt, từng việc", "bargauge",
              (Query(f"topk(15, max by (duty) (avg_over_time((gaccong_verdict{AT} == bool 3)[$__range:1h])))", "{{duty}}"),),
              "Trong khoảng thời gian đang chọn. (Over the chosen range.)", "percentunit", most=1),
        Panel("Điều khoản theo kết luận", "timeseries",
              (Query(f'count_values by (site) ("ket_luan", gaccong_clause_verdict{AT})', "{{site}} {{ket_luan}}"),),
              "0 đạt, 1 chưa kiểm tra được, 2 cảnh báo, 3 không đạt. (0 met, 1 unseen, 2 at risk, 3 broken.)", stacked=True),
        Panel("Sổ bằng chứng", "timeseries", (Query(f"gaccong_ledger_lines{AT}", "{{site}}"),),
              "Số dòng; chỉ tăng. Giảm là có người sửa sổ. (Lines; they only grow.)", width=24, height=6),
    ),
    since="now-1y",
)

FLEET = Board(
    "gaccong-toan-tinh", "gác cổng · toàn tỉnh", "Mọi trang cùng lúc. (All sites at once.)",
    (
        Panel("Số trang", "stat", (Query("count(gaccong_site_info)"),), "Trong cấu hình. (In the configuration.)", width=4, height=4),
        Panel("Trang hỏng", "stat", (Query("sum(site:gaccong_reach:best == bool 3)"),),
              "Hỏng qua mọi họ địa chỉ. (Down over every family.)", width=5, height=4, steps=RED),
        Panel("Hỏng theo họ địa chỉ", "stat", (Query("sum by (ip_family) (gaccong_probe_state == bool 3)", "{{ip_family}}"),),
              "IPv4 và IPv6 riêng. (By family.)", width=5, height=4, steps=RED),
        Panel("Chưa biết", "stat", (Query("sum(gaccong_probe_state == bool 1)"),),
              "Nhiều cùng lúc: chính máy theo dõi mất mạng. (Many at once: we are blind.)", width=5, height=4,
              steps=((None, "green"), (1.0, "purple"))),
        Panel("Đang bảo trì", "stat", (Query("sum(gaccong_maintenance_active)"),), "Theo lịch đã báo. (As announced.)", width=5, height=4),
        Panel("Trang theo trạng thái", "timeseries", (Query('count_values("trang_thai", gaccong_probe_state)', "{{trang_thai}}"),),
              "0 vào được, 1 chưa biết, 2 không có địa chỉ, 3 hỏng. (0 up, 1 unknown, 2 no address, 3 down.)", stacked=True),
        Panel("Chậm nhất trong 20 trang (p95)", "timeseries", (Query("family:gaccong_probe_duration_seconds:p95", "p95 {{ip_family}}"),),
              "95 % số trang nhanh hơn mức này. (95 % of sites are faster.)", "s"),
        Panel("Trang xấu nhất", "table", (Query("topk(50, site:gaccong_reach:best)"),), "Hỏng trước. (Worst first.)", names=STANDINGS,
              columns=(("site", "Trang"),)),
        Panel("Chứng thư hết hạn trước", "table",
              (Query("bottomk(50, min by (site) (gaccong_probe_certificate_not_after_timestamp_seconds) - time())"),),
              "50 trang gần hết hạn nhất. (The 50 that end first.)", "s", steps=ENDS, columns=(("site", "Trang"),)),
        Panel("Lý do", "timeseries", (Query("count by (reason) (gaccong_probe_reason_info)", "{{reason}}"),),
              "Cùng một lý do ở nhiều trang: hỏng chung. (One reason at many sites: a common fault.)", width=8, stacked=True),
        Panel("Việc không đạt nhiều nhất", "bargauge", (Query("topk(15, count by (duty) (gaccong_verdict == 3))", "{{duty}}"),),
              "Số trang không đạt. (Number of sites.)", width=8),
        Panel("Người canh", "timeseries",
              (Query("rate(gaccong_prober_cpu_seconds_total[$__rate_interval])", "CPU"),
               Query("rate(gaccong_prober_stalled_seconds_total[$__rate_interval])", "đứng chờ"),
               Query("gaccong_prober_looks_in_flight", "đang xem"),
               Query("rate(gaccong_prober_looks_total[$__rate_interval])", "lần xem mỗi giây")),
              "Tiến trình theo dõi tự đo mình. (The prober, by its own measure.)", width=8),
    ),
    of_site=False,
)
