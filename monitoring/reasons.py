"""Why a look failed: a closed list, each with its words. Metrics and evidence carry the name, people read the words."""

from __future__ import annotations

from enum import StrEnum

from ops import Text


class Reason(StrEnum):
    """Every way in which a probe can fail; the value is stable and is kept as evidence."""

    NXDOMAIN = "nxdomain"
    NO_RECORD = "no_record"
    DNS_TIMEOUT = "dns_timeout"
    DNS_FAILED = "dns_failed"
    DNS_LOOP = "dns_loop"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET_VALID = "tls_not_yet_valid"
    TLS_NAME = "tls_name"
    TLS_CHAIN = "tls_chain"
    TLS_INTERMEDIATE = "tls_intermediate"
    TLS_SELF_SIGNED = "tls_self_signed"
    TLS_WEAK = "tls_weak"
    TLS_STAPLE = "tls_staple"
    TLS_PROTOCOL = "tls_protocol"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    CUT = "cut"
    NOT_HTTP = "not_http"
    BAD_ENCODING = "bad_encoding"
    TOO_LARGE = "too_large"
    HTTP_STATUS = "http_status"
    REDIRECT_LOOP = "redirect_loop"
    REDIRECT_REFUSED = "redirect_refused"
    WRONG_TEXT = "wrong_text"
    DIFFERENT_CONTENT = "different_content"
    NO_ROUTE = "no_route"
    RESOLVER_SILENT = "resolver_silent"
    REFERENCE_SILENT = "reference_silent"
    OTHER = "other"

    @property
    def words(self) -> Text:
        """The reason for a person."""
        return _WORDS[self]


OURS = frozenset({Reason.NO_ROUTE, Reason.RESOLVER_SILENT, Reason.REFERENCE_SILENT, Reason.OTHER})
"""Reasons that lie with this machine (or are not understood): they never accuse the site."""

DOUBTFUL = frozenset({
    Reason.DNS_TIMEOUT, Reason.DNS_FAILED, Reason.REFUSED, Reason.UNREACHABLE, Reason.CONNECT_TIMEOUT, Reason.TIMEOUT,
    Reason.CLOSED, Reason.CUT, Reason.TLS_PROTOCOL,
})
"""Reasons that our own dead network would give as well: ask ourselves first."""

NO_ADDRESS = frozenset({Reason.NXDOMAIN, Reason.NO_RECORD})
"""The name servers answered, and there is no such address."""

CERTIFICATE = frozenset({
    Reason.TLS_EXPIRED, Reason.TLS_NOT_YET_VALID, Reason.TLS_NAME, Reason.TLS_CHAIN, Reason.TLS_INTERMEDIATE,
    Reason.TLS_SELF_SIGNED, Reason.TLS_WEAK, Reason.TLS_STAPLE,
})
"""The handshake came as far as a certificate, and the certificate is bad."""

_WORDS = {
    Reason.NXDOMAIN: Text("tên miền không tồn tại", "the name does not exist"),
    Reason.NO_RECORD: Text("tên miền không có bản ghi địa chỉ loại này", "the name has no address record of this kind"),
    Reason.DNS_TIMEOUT: Text("máy chủ tên miền không trả lời kịp", "the name servers did not answer in time"),
    Reason.DNS_FAILED: Text("máy chủ tên miền báo lỗi", "the name servers answered with an error"),
    Reason.DNS_LOOP: Text("bản ghi CNAME quay vòng", "the CNAME records go round in a circle"),
    Reason.REFUSED: Text("máy chủ từ chối kết nối", "the server refuses the connection"),
    Reason.UNREACHABLE: Text("không có đường mạng tới máy chủ", "there is no network path to the server"),
    Reason.CONNECT_TIMEOUT: Text("kết nối quá lâu không được", "the connection was not made in time"),
    Reason.TLS_EXPIRED: Text("chứng thư đã hết hạn", "the certificate has expired"),
    Reason.TLS_NOT_YET_VALID: Text("chứng thư chưa tới ngày có hiệu lực", "the certificate is not valid yet"),
    Reason.TLS_NAME: Text("chứng thư cấp cho tên khác", "the certificate is for another name"),
    Reason.TLS_CHAIN: Text("chứng thư do nơi không được tin cậy cấp hoặc thiếu chứng thư trung gian",
                           "the certificate's issuer is not trusted, or an intermediate certificate is missing"),
    Reason.TLS_INTERMEDIATE: Text("máy chủ không gửi chứng thư trung gian; dùng tệp fullchain.pem",
                                  "the server does not send the intermediate certificate; use fullchain.pem"),
    Reason.TLS_SELF_SIGNED: Text("chứng thư tự ký, không do nơi nào được tin cậy cấp",
                                 "the certificate is self-signed; nobody trusted issued it"),
    Reason.TLS_WEAK: Text("chứng thư ký bằng thuật toán hoặc khóa quá yếu (như SHA-1); xin cấp lại",
                          "the certificate is signed with too weak an algorithm or key (like SHA-1); have it reissued"),
    Reason.TLS_STAPLE: Text("chứng thư bắt buộc kèm trả lời OCSP nhưng máy chủ không gửi; bật ssl_stapling hoặc đổi chứng thư",
                            "the certificate demands a stapled OCSP answer, and none is sent; turn ssl_stapling on, or "
                            "change the certificate"),
    Reason.TLS_PROTOCOL: Text("không bắt tay được TLS 1.2 trở lên", "no handshake with TLS 1.2 or newer"),
    Reason.TIMEOUT: Text("trang không trả lời xong trong thời hạn", "the page was not delivered in time"),
    Reason.CLOSED: Text("máy chủ ngắt kết nối khi chưa trả lời", "the server closed the connection without an answer"),
    Reason.CUT: Text("câu trả lời bị cắt giữa chừng", "the answer was cut short"),
    Reason.NOT_HTTP: Text("câu trả lời không phải HTTP đúng", "the answer is not proper HTTP"),
    Reason.BAD_ENCODING: Text("nội dung nén bị hỏng", "the compressed content is damaged"),
    Reason.TOO_LARGE: Text("câu trả lời lớn quá mức", "the answer is too large"),
    Reason.HTTP_STATUS: Text("trang báo lỗi", "the page answers with an error status"),
    Reason.REDIRECT_LOOP: Text("chuyển hướng quá nhiều lần", "too many redirects"),
    Reason.REDIRECT_REFUSED: Text("chuyển hướng tới nơi không được phép", "a redirect to a place that is not allowed"),
    Reason.WRONG_TEXT: Text("trang không có đoạn chữ phải có", "the page lacks the text that it must contain"),
    Reason.DIFFERENT_CONTENT: Text("nội dung qua IPv6 khác hẳn qua IPv4",
                                   "the content over IPv6 is quite unlike that over IPv4"),
    Reason.NO_ROUTE: Text("máy kiểm tra này không có mạng loại đó", "this machine has no network of that kind"),
    Reason.RESOLVER_SILENT: Text("máy chủ tên miền mà máy này dùng không trả lời gì",
                                 "the resolver that this machine uses answers nothing at all"),
    Reason.REFERENCE_SILENT: Text("máy này đang mất mạng: không điểm đối chiếu nào trả lời",
                                  "this machine is cut off: none of the reference points answers"),
    Reason.OTHER: Text("lỗi chưa rõ", "an error that is not understood"),
}
