"""Reads a mail as RFC 5322 has it: who wrote what to whom; attachments are named and not opened."""

from email import message_from_bytes
from email.message import MIMEPart
from email.policy import default

from docling.backend.html_backend import HTMLDocumentBackend
from docling.datamodel.base_models import InputFormat
from docling_core.types.doc import DocItemLabel, DoclingDocument

from schemas.errors import DocumentUnreadable
from worker.parser.formats.declarative import by_docling, stem
from worker.parser.formats.markup import add_paragraphs
from worker.parser.formats.markup_check import check_html, check_text
from worker.parser.reading import Reading
from worker.parser.request import ParseRequest

_FIELDS = ("From", "To", "Cc", "Date")


def read_mail(request: ParseRequest) -> Reading:
    """Read a mail: its subject, its address fields, its text, and what is attached.

    Raises:
        DocumentUnreadable: it names an encoding that nobody has, or has no text.
        DocumentTooLarge: as for a text, or a page, of that size.
    """
    mail = message_from_bytes(request.document.read_bytes(), policy=default)
    title = str(mail["Subject"] or "")
    document = DoclingDocument(name=stem(request))
    if title:
        document.add_title(title)
    for name in _FIELDS:
        if mail[name]:
            document.add_text(DocItemLabel.TEXT, f"{name}: {mail[name]}")
    body = mail.get_body(("html", "plain"))
    if body is not None:
        _add_body(document, body, request)
    names = [part.get_filename() or part.get_content_type() for part in mail.iter_attachments()]
    for name in names:
        document.add_list_item(f"Attachment: {name}")
    warnings = ("attachments of the mail are not read: convert each by itself",) if names else ()
    return Reading(document=document, title=title, warnings=warnings)


def _add_body(document: DoclingDocument, body: MIMEPart, request: ParseRequest) -> None:
    try:
        text = str(body.get_content())
    except LookupError as error:
        raise DocumentUnreadable(f"the mail's text cannot be decoded ({error}): export it again") from error
    if body.get_content_subtype() == "plain":
        check_text(text, request.limits)
        add_paragraphs(document, text)
        return
    check_html(text, request.limits)
    page = by_docling(request, InputFormat.HTML, HTMLDocumentBackend, text.encode("utf-8-sig"))
    document.add_document(page)
