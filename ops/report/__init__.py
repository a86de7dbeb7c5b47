"""Papers: one document tree, builders that fill it, writers that put it on paper (DOCX, PDF) or into JSON.

start, end, label = period("2026", now)
document = annual_risk(status, view, duties, now, start=start, end=end, verified=True)
write(document, ["docx", "pdf", "json"], out, "bao-cao-rui-ro-2026")
"""

from ops.report.annual_risk import annual_risk
from ops.report.backup_minutes import backup_minutes
from ops.report.month import month
from ops.report.period import period
from ops.report.tree import Document
from ops.report.writing import FORMATS, write

__all__ = ["FORMATS", "Document", "annual_risk", "backup_minutes", "month", "period", "write"]
