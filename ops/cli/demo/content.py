"""What the invented commune publishes: data only. Every name, number and address is made up.

NEWS:       (slug, title, first sentence, second paragraph)
DOCUMENTS:  (number, kind, subject)
PROCEDURES: (slug, name, field, working days, fee, papers to bring)
"""

from __future__ import annotations

COMMUNE = "xã Hoa Mai"
PROVINCE = "tỉnh Mẫu"
TITLE = "Trang thông tin điện tử xã Hoa Mai"
EXPECT = "Ủy ban nhân dân xã Hoa Mai"
ADDRESS = "Số 1, đường Hoa Mai, xã Hoa Mai, tỉnh Mẫu (địa chỉ minh họa)"
PHONE = "(0000) 000 001"
MAIL = "vanthu@xahoamai.tinhmau.gov.vn"
PARENT = f"Ủy ban nhân dân {PROVINCE}"
RESPONSIBLE = "Trưởng Ban Biên tập"
SOURCE_NOTICE = "Ghi rõ nguồn khi sử dụng lại thông tin từ trang này."

NEWS: tuple[tuple[str, str, str, str], ...] = (
    (
        "ra-mat-to-cong-nghe-so",
        "Ra mắt Tổ công nghệ số cộng đồng thôn Mai Vàng",
        "Sáng nay, thôn Mai Vàng ra mắt Tổ công nghệ số cộng đồng gồm 9 thành viên.",
        "Tổ đến từng nhà hướng dẫn người dân cài định danh điện tử và nộp hồ sơ trực tuyến.",
    ),
    (
        "lich-tiep-cong-dan",
        "Lịch tiếp công dân của Chủ tịch UBND xã trong tháng",
        "Chủ tịch UBND xã tiếp công dân vào ngày 10 và ngày 25 hằng tháng tại trụ sở.",
        "Người dân mang theo giấy tờ tùy thân và đơn, nếu có; ngày nghỉ thì dời sang ngày làm việc kế tiếp.",
    ),
    (
        "phong-chong-bao",
        "Chủ động phòng, chống mưa bão tại các thôn ven suối",
        "UBND xã yêu cầu các thôn rà soát hộ dân ở nơi có nguy cơ sạt lở và lũ quét.",
        "Lực lượng xung kích trực suốt ngày đêm; số điện thoại trực được niêm yết ở nhà văn hóa thôn.",
    ),
    (
        "tiem-vac-xin-cho-tre",
        "Tổ chức tiêm chủng mở rộng cho trẻ dưới 5 tuổi",
        "Trạm Y tế xã tổ chức tiêm chủng trong hai ngày, mỗi ngày một cụm thôn.",
        "Phụ huynh mang theo sổ tiêm chủng và theo dõi trẻ ít nhất 30 phút sau khi tiêm.",
    ),
    (
        "hoi-thi-tim-hieu-phap-luat",
        "Hội thi tìm hiểu pháp luật về an ninh mạng",
        "Đoàn Thanh niên xã phối hợp tổ chức hội thi với sự tham gia của 6 đội.",
        "Các đội giải tình huống giả mạo cơ quan nhà nước để lừa đảo qua điện thoại.",
    ),
    (
        "mo-hinh-trong-mai",
        "Mô hình trồng mai ghép cho thu nhập ổn định",
        "Từ 2 héc-ta đất đồi, tổ hợp tác thôn Mai Trắng trồng hơn 3.000 gốc mai ghép.",
        "Cán bộ khuyến nông của xã hướng dẫn kỹ thuật và ghi nhật ký chăm sóc theo từng lô.",
    ),
    (
        "ngay-hoi-dai-doan-ket",
        "Tưng bừng Ngày hội Đại đoàn kết toàn dân tộc",
        "Ngày hội ở khu dân cư có phần lễ, phần hội và bữa cơm chung của hơn 200 hộ.",
        "Dịp này, 12 gia đình được biểu dương vì có thành tích trong phong trào của thôn.",
    ),
    (
        "sua-chua-duong-lien-thon",
        "Khởi công sửa chữa 1,8 km đường liên thôn",
        "Tuyến đường được rải bê tông rộng 3,5 mét, dự kiến xong trước mùa mưa.",
        "Nhân dân hiến 640 mét vuông đất và góp hơn 300 ngày công.",
    ),
    (
        "tuyen-truyen-giao-thong",
        "Tuyên truyền an toàn giao thông tại trường học",
        "Công an xã hướng dẫn học sinh đội mũ bảo hiểm đúng cách và đi bộ đúng phần đường.",
        "Nhà trường và phụ huynh cùng ký cam kết không giao xe máy cho học sinh.",
    ),
    (
        "kham-suc-khoe-nguoi-cao-tuoi",
        "Khám sức khỏe định kỳ cho người cao tuổi",
        "Hơn 150 người cao tuổi được đo huyết áp, thử đường huyết và tư vấn dinh dưỡng.",
        "Kết quả được ghi vào sổ theo dõi tại Trạm Y tế để tiện cho lần khám sau.",
    ),
    (
        "dich-vu-cong-truc-tuyen",
        "Tỷ lệ hồ sơ nộp trực tuyến đạt 78 phần trăm",
        "Trong quý, Trung tâm Phục vụ hành chính công xã tiếp nhận 412 hồ sơ, 321 hồ sơ nộp qua mạng.",
        "Xã bố trí hai máy tính và một đoàn viên giúp người dân chưa quen thao tác.",
    ),
    (
        "ra-quan-trong-cay",
        "Ra quân trồng cây đầu xuân",
        "Cán bộ, đoàn viên và người dân trồng 500 cây xanh dọc tuyến đường vào thôn Mai Đỏ.",
        "Mỗi chi hội nhận chăm sóc một đoạn đường và báo cáo số cây sống sau ba tháng.",
    ),
    (
        "thu-gom-vo-chai",
        "Điểm thu gom vỏ chai thuốc bảo vệ thực vật",
        "Xã đặt 14 bể chứa ở đầu bờ ruộng để gom vỏ chai, gói thuốc sau khi dùng.",
        "Người dân không vứt vỏ chai xuống mương; đơn vị có chức năng đến thu gom hằng quý.",
    ),
    (
        "doc-sach-cuoi-tuan",
        "Thư viện xã mở cửa cuối tuần cho thiếu nhi",
        "Từ tháng này, thư viện xã mở cửa sáng thứ bảy và chủ nhật.",
        "Hơn 1.200 đầu sách được phân theo lứa tuổi; việc mượn sách không thu phí.",
    ),
    (
        "canh-bao-lua-dao",
        "Cảnh báo thủ đoạn giả danh cán bộ xã gọi điện",
        "Có đối tượng tự xưng là cán bộ xã, yêu cầu người dân bấm đường dẫn để cập nhật thông tin.",
        "UBND xã không yêu cầu mật khẩu hay mã xác thực qua điện thoại dưới bất kỳ hình thức nào.",
    ),
    (
        "hop-bao-tong-ket",
        "Sơ kết công tác sáu tháng của Ban Biên tập",
        "Ban Biên tập đăng 186 tin, bài; trả lời 37 câu hỏi của người dân qua trang thông tin.",
        "Tổ chuyên trách báo cáo việc sao lưu dữ liệu và rà soát tài khoản theo quy chế.",
    ),
)

DOCUMENTS: tuple[tuple[str, str, str], ...] = (
    ("01/NQ-HĐND", "Nghị quyết", "Về nhiệm vụ phát triển kinh tế - xã hội năm của xã Hoa Mai"),
    ("02/NQ-HĐND", "Nghị quyết", "Về dự toán thu, chi ngân sách xã"),
    ("15/QĐ-UBND", "Quyết định", "Về việc thành lập Ban Biên tập Trang thông tin điện tử xã"),
    ("16/QĐ-UBND", "Quyết định", "Ban hành Quy chế hoạt động của Trang thông tin điện tử xã"),
    ("22/QĐ-UBND", "Quyết định", "Về việc công bố công khai dự toán ngân sách xã"),
    ("08/KH-UBND", "Kế hoạch", "Chuyển đổi số trên địa bàn xã"),
    ("11/KH-UBND", "Kế hoạch", "Phòng, chống thiên tai và tìm kiếm cứu nạn"),
    ("14/KH-UBND", "Kế hoạch", "Bảo đảm an toàn thông tin mạng của xã"),
    ("31/TB-UBND", "Thông báo", "Lịch tiếp công dân định kỳ"),
    ("33/TB-UBND", "Thông báo", "Niêm yết hồ sơ đất đai của 5 hộ gia đình (số liệu minh họa)"),
    ("40/BC-UBND", "Báo cáo", "Kết quả giải quyết thủ tục hành chính quý"),
    ("41/BC-UBND", "Báo cáo", "Mức độ rủi ro an toàn thông tin của Trang thông tin điện tử"),
    ("42/TB-UBND", "Thông báo", "Bảo trì, nâng cấp phần mềm của Trang thông tin điện tử"),
)

PROCEDURES: tuple[tuple[str, str, str, int, str, tuple[str, ...]], ...] = (
    (
        "dang-ky-khai-sinh",
        "Đăng ký khai sinh",
        "Hộ tịch",
        1,
        "Không thu",
        ("Tờ khai theo mẫu", "Giấy chứng sinh", "Giấy tờ tùy thân của người đi đăng ký"),
    ),
    (
        "dang-ky-ket-hon",
        "Đăng ký kết hôn",
        "Hộ tịch",
        1,
        "Không thu",
        ("Tờ khai của hai bên", "Giấy tờ tùy thân của hai bên"),
    ),
    (
        "dang-ky-khai-tu",
        "Đăng ký khai tử",
        "Hộ tịch",
        1,
        "Không thu",
        ("Tờ khai theo mẫu", "Giấy báo tử hoặc giấy tờ thay thế"),
    ),
    (
        "xac-nhan-tinh-trang-hon-nhan",
        "Cấp giấy xác nhận tình trạng hôn nhân",
        "Hộ tịch",
        3,
        "Theo quy định của tỉnh",
        ("Tờ khai theo mẫu", "Giấy tờ chứng minh tình trạng hôn nhân trước đây, nếu có"),
    ),
    (
        "trich-luc-ho-tich",
        "Cấp bản sao trích lục hộ tịch",
        "Hộ tịch",
        1,
        "Theo quy định của tỉnh",
        ("Tờ khai theo mẫu", "Giấy tờ tùy thân"),
    ),
    (
        "chung-thuc-ban-sao",
        "Chứng thực bản sao từ bản chính",
        "Chứng thực",
        1,
        "Theo số trang",
        ("Bản chính", "Bản sao cần chứng thực"),
    ),
    (
        "chung-thuc-chu-ky",
        "Chứng thực chữ ký",
        "Chứng thực",
        1,
        "Theo trường hợp",
        ("Giấy tờ tùy thân", "Văn bản cần ký"),
    ),
    (
        "dang-ky-ho-kinh-doanh",
        "Đăng ký thành lập hộ kinh doanh",
        "Kinh tế",
        3,
        "Theo quy định của tỉnh",
        ("Giấy đề nghị theo mẫu", "Giấy tờ tùy thân của chủ hộ"),
    ),
    (
        "ho-tro-mai-tang",
        "Hỗ trợ chi phí mai táng cho đối tượng bảo trợ xã hội",
        "Bảo trợ xã hội",
        3,
        "Không thu",
        ("Tờ khai theo mẫu", "Bản sao giấy chứng tử"),
    ),
    (
        "xac-dinh-khuyet-tat",
        "Xác định mức độ khuyết tật",
        "Bảo trợ xã hội",
        25,
        "Không thu",
        ("Đơn đề nghị theo mẫu", "Bản sao giấy tờ y tế, nếu có"),
    ),
)

CONTACTS: tuple[tuple[str, str, str], ...] = (
    ("Văn phòng HĐND và UBND", PHONE, MAIL),
    ("Trung tâm Phục vụ hành chính công", "(0000) 000 002", "hcc@xahoamai.tinhmau.gov.vn"),
    ("Công an xã", "(0000) 000 003", "congan@xahoamai.tinhmau.gov.vn"),
    ("Trạm Y tế xã", "(0000) 000 004", "yte@xahoamai.tinhmau.gov.vn"),
    ("Ban Biên tập Trang thông tin điện tử", "(0000) 000 005", "banbientap@xahoamai.tinhmau.gov.vn"),
)

ABOUT: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "tong-quan",
        "Tổng quan về xã Hoa Mai",
        (
            "Xã Hoa Mai là một xã được hình dung ra để minh họa, có 7 thôn, 1.840 hộ và 7.260 nhân khẩu.",
            "Kinh tế chủ yếu là trồng hoa mai, chè và chăn nuôi nhỏ; mọi số liệu trên trang này đều không có thật.",
        ),
    ),
    (
        "co-cau-to-chuc",
        "Cơ cấu tổ chức",
        (
            "Ủy ban nhân dân xã gồm Chủ tịch, hai Phó Chủ tịch và các phòng, trung tâm trực thuộc.",
            "Tổ chuyên trách giúp việc Ban Biên tập vận hành trang thông tin, sao lưu dữ liệu và quản lý tài khoản.",
        ),
    ),
    (
        "quy-che-bien-tap",
        "Quy chế hoạt động của Ban Biên tập",
        (
            "Tin, bài phải được biên tập và duyệt trước khi đăng; người nghỉ việc phải bị thu hồi tài khoản.",
            "Dữ liệu được sao lưu ít nhất ba lần mỗi tuần và được thử khôi phục định kỳ.",
        ),
    ),
)
