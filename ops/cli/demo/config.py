"""Writes gaccong's configuration for the demo site: an example to learn from, with comments in Vietnamese."""

from __future__ import annotations

import json
from datetime import date, timedelta

from ops.cli.demo import content, deadlines, frame, people
from ops.cli.demo.layout import ALIAS, NAME, PORTAL, SERVICES, Demo
from ops.model import nfc

SITE = "demo"


def write(demo: Demo, today: date) -> None:
    """Writes gaccong.toml and sites/xa-mau.toml."""
    demo.config.write_text(nfc(_MAIN.format(page=demo.ports.page, root=demo.root)), encoding="utf-8")
    folder = demo.root / "sites"
    folder.mkdir(exist_ok=True)
    parts = (_site(demo), _monitoring(demo, today), _accounts(demo))
    (folder / "xa-mau.toml").write_text(nfc("\n".join(parts)), encoding="utf-8")


def _site(demo: Demo) -> str:
    return _SITE.format(site=SITE, title=content.TITLE, name=NAME, alias=ALIAS, url=demo.url, root=demo.root)


def _monitoring(demo: Demo, today: date) -> str:
    return _MONITORING.format(
        site=SITE,
        root=demo.root,
        dns=demo.ports.dns,
        expect=content.EXPECT,
        name=NAME,
        plain=demo.plain,
        portal=PORTAL,
        services=SERVICES,
        emc=frame.EMC,
        identity=content,
        register=demo.register,
        units=json.dumps(deadlines.UNITS, ensure_ascii=False),
        members=json.dumps(deadlines.MEMBERS, ensure_ascii=False),
        domain_until=(today + timedelta(days=300)).isoformat(),
        hosting_until=(today + timedelta(days=200)).isoformat(),
    )


def _accounts(demo: Demo) -> str:
    return _ACCOUNTS.format(
        site=SITE,
        root=demo.root,
        login=demo.login_url,
        linux=people.LINUX,
        editors=people.EDITORS,
        control=people.CONTROL,
    )


_MAIN = """# Cấu hình chính của gaccong (trang mẫu). Sửa thử rồi chạy lại: sai ở đâu, gaccong nói ở đó.

# Mỗi trang một tệp trong thư mục sites/; đường dẫn tính từ thư mục chứa tệp này.
include = ["sites/*.toml"]

# Ngôn ngữ của màn hình và báo cáo: "vi" hoặc "en".
language = "vi"

# Nơi gaccong giữ sổ bằng chứng và khóa ký. Chỉ tài khoản chạy gaccong được đọc.
state = "state"

[serve]
# Trang xem tình hình và số đo cho Prometheus; chỉ mở trên máy này.
listen = "127.0.0.1:{page}"

# Báo tin khi có việc hỏng. Tệp bí mật giữ địa chỉ kênh (thư điện tử: mailtos://…, Telegram: tgram://…);
# kênh của trang mẫu là một "điện thoại" nhỏ trên máy này, tin đến nằm trong thư mục dien-thoai/.
[notify.channel.truc-ban]
url = "file:{root}/secrets/truc-ban"
at_risk = false                    # chỉ báo điều đã hỏng; bỏ dòng này thì báo cả điều sắp hỏng
"""

_SITE = """# Một trang: xã Hoa Mai (xã không có thật). Mọi dữ liệu ở đây đều do máy bịa ra để thử.

[site.{site}]
name = "{title}"
policy = "thong-nhat"              # quy chế áp dụng; xem: gaccong policy list
url = "{url}"
names = ["{name}", "{alias}"]

# Ai đứng tên trên giấy: đầu trang và ô ký của báo cáo.
[site.{site}.office]
parent = "ỦY BAN NHÂN DÂN XÃ HOA MAI"
issuer = "BAN BIÊN TẬP TRANG THÔNG TIN ĐIỆN TỬ"
authority = "TM. BAN BIÊN TẬP"
place = "Hoa Mai"
symbol = "BBT"
title = "TRƯỞNG BAN"
signer = "Trần Minh Họa"
unit = "Tổ chuyên trách giúp việc Ban Biên tập"
recipients = ["Chủ tịch UBND xã (để báo cáo)"]

# --- Sao lưu ------------------------------------------------------------------------------------
[site.{site}.backup]
repository = "{root}/repo"                  # thật sự: để trên máy khác
password = "file:{root}/secrets/restic"     # tham chiếu, không bao giờ viết mật khẩu vào đây
drill_every_days = 7                        # mấy ngày thử khôi phục một lần
# Bản cũ nào được giữ; bỏ khóa này thì không bản nào bị xóa.
keep = {{ last = 7, days = 30, weeks = 12, months = 24, years = 5 }}

# Nơi thứ hai. Thật sự: một máy khác, kiểu chỉ cho thêm (rest-server --append-only), ví dụ rest:https://kho.tinh.example/xa/
[site.{site}.backup.second.kho-hai]
repository = "{root}/repo-2"
password = "file:{root}/secrets/restic-2"
schedule = "15 3 * * *"

# Mức người dùng: bài, ảnh, cơ sở dữ liệu.
[site.{site}.backup.set.user]
level = "user"
schedule = "30 1 * * *"                     # cron, giờ Việt Nam: 1 giờ 30 hằng đêm

[[site.{site}.backup.set.user.source]]
kind = "files"
paths = ["{root}/www"]
exclude = ["*.tmp"]

[[site.{site}.backup.set.user.source]]
kind = "sqlite"
name = "site"
path = "{root}/data/site.db"
# Đếm khi sao lưu và đếm lại trên bản khôi phục: hai số phải bằng nhau.
queries = {{ so_bai = "SELECT count(*) FROM articles", so_bien_tap = "SELECT count(*) FROM editors" }}

# Mức hệ thống: đủ để dựng lại máy chủ.
[site.{site}.backup.set.system]
level = "system"
schedule = "45 1 * * *"

[[site.{site}.backup.set.system.source]]
kind = "system"
paths = ["{root}/nginx", "{root}/tls", "{root}/root/etc", "{root}/root/var/spool/cron"]
packages = true
"""

_MONITORING = """# --- Theo dõi -----------------------------------------------------------------------------------
[site.{site}.monitoring]
nameservers = ["127.0.0.1:{dns}", "[::1]:{dns}"]    # trang mẫu có máy chủ tên miền riêng; trang thật bỏ dòng này
authority = "{root}/tls/ca.pem"             # chứng thư của trang mẫu do nó tự cấp; trang thật bỏ dòng này
expect = "{expect}"                         # câu phải có trên trang chủ
timeout_seconds = 30                        # máy thử thường bận; trang thật để mặc định
load_per_core = 16.0                        # như trên

[site.{site}.monitoring.web]
http = "{plain}"                            # vì cổng khác 80; trang thật bỏ dòng này
required_links = ["{portal}"]               # trang chủ phải dẫn tới Cổng thông tin điện tử tỉnh
public_services = ["{services}"]            # và tới Cổng dịch vụ công
emc = "{emc}"                               # mã đo lường để thử; trang thật bỏ dòng này, gaccong tìm mã quốc gia
source_notice = "{identity.SOURCE_NOTICE}"
questions = "/hoi-dap/"
feedback = "/gop-y/"
response_seconds = 10.0                     # mục tiêu của trang; máy thử thường bận
per_second = 50.0                           # hỏi nhanh vì trang ở ngay trên máy này; trang thật để mặc định (2)

# Chân trang phải ghi đúng những chữ này (Nghị định 174/2026/NĐ-CP, khoản 1 Điều 93); ghi chức vụ, không ghi tên người.
[site.{site}.monitoring.web.identity]
body = "{identity.EXPECT}"
parent = "{identity.PARENT}"
address = "{identity.ADDRESS}"
phone = "{identity.PHONE}"
mail = "{identity.MAIL}"
responsible = "{identity.RESPONSIBLE}"

[site.{site}.monitoring.dns]
pattern = ["{name}"]                        # tên miền mà quy chế ghi
authoritative = ["127.0.0.1:{dns}", "[::1]:{dns}"]  # cổng khác 53; trang thật bỏ dòng này
addresses = ["127.0.0.1", "::1"]            # tên miền trỏ đi nơi khác là bị chiếm

[site.{site}.monitoring.renewal]
domain_until = {domain_until}                   # ngày cuối của hợp đồng tên miền
hosting_until = {hosting_until}                  # và của hợp đồng thuê máy chủ

[site.{site}.monitoring.content]
deadlines = "{register}"                    # sổ theo dõi hạn đăng tin, trả lời câu hỏi (CSV, mở bằng Excel được)
units = {units}
members = {members}

[site.{site}.monitoring.host]
processes = ["nginx"]                       # chương trình phải chạy; máy có systemd: services = ["nginx.service"]
"""

_ACCOUNTS = """# --- Tài khoản ----------------------------------------------------------------------------------
[site.{site}.accounts]
roster = "{root}/roster.csv"                # ai đang làm, từ ngày nào, đến ngày nào

# Tài khoản của máy chủ Linux (ở đây là một cây thư mục nhỏ; máy thật: root = "/").
[site.{site}.accounts.system.{linux}]
kind = "linux"
root = "{root}/root"

# Tài khoản biên tập viên trong cơ sở dữ liệu của phần mềm.
[site.{site}.accounts.system.{editors}]
kind = "sql_table"
database = "{root}/data/site.db"
table = "editors"
login = "login"
name = "name"
role = "role"
admin_roles = ["quản trị"]
last_use = "last_login"
enabled = "enabled"
password = "password"
hash = "pbkdf2_sha256"
# Sau khi thu hồi, gaccong thử đăng nhập thật: tài khoản đối chứng phải vào được, người đã nghỉ thì không.
try_url = "{login}"
authority = "{root}/tls/ca.pem"
control_login = "{control}"
control_password = "file:{root}/secrets/control"
"""
