"""The verdict of ``im2rec inspect`` on a ``.rec``, by its survey and by the checks that were asked for."""

from __future__ import annotations

import enum

from im2rec.errors import counted
from im2rec.inspection.digest_check import AGREES, CHANGED, NONE, OTHER_FILE, WRONG
from im2rec.inspection.report import Survey
from im2rec.inspection.rows import damage_text

NOT_DECODED = "Whether the images themselves are whole was not looked at: with --verify each is decoded."


class Verdict(enum.Enum):
    """Whether a file is whole; the command line has an exit code for each."""

    SOUND = "sound"
    PROBLEMS = "problems"  # the index, the digest or the content of records is wrong
    NO_IMAGES = "no images"
    DAMAGED = "damaged"


def verdict_on(summary: Survey) -> Verdict:
    """Return DAMAGED before NO_IMAGES before PROBLEMS."""
    digest_state = summary.digest_check.state if summary.digest_check is not None else NONE
    if summary.damage or digest_state == CHANGED:
        return Verdict.DAMAGED
    if not summary.images:
        return Verdict.NO_IMAGES
    failed = summary.verification is not None and summary.verification.failures
    misfits = summary.index.state == "wrong" or summary.index.moved or digest_state in (OTHER_FILE, WRONG)
    misfits = misfits or (summary.profile is not None and summary.profile.failed)
    return Verdict.PROBLEMS if failed or summary.problems or misfits else Verdict.SOUND


def verdict_text(summary: Survey) -> str:
    """Return the verdict in words: what is wrong, and how far the file was looked at."""
    verdict = verdict_on(summary)
    not_decoded = f". {NOT_DECODED}" if summary.verification is None and summary.images else ""
    if verdict is Verdict.DAMAGED:
        return "; ".join(filter(None, (damage_text(summary), *_problems(summary)))) + not_decoded
    if verdict is Verdict.NO_IMAGES:
        return summary.set_kind if summary.headerless else "no record holds an image"
    if verdict is Verdict.PROBLEMS:
        return "; ".join(_problems(summary)) + not_decoded
    if summary.verification is None:
        return f"all records are complete, and their headers are right{not_decoded}"
    agrees = summary.digest_check is not None and summary.digest_check.state == AGREES
    return "every image decodes" + (", and every byte agrees with the digest" if agrees else "")


def _problems(summary: Survey) -> list[str]:
    """Return what is wrong besides damage, a few words for each kind."""
    failures = summary.verification.failures if summary.verification is not None else []
    profile_failed = summary.profile.failed if summary.profile is not None else 0
    digest_state = summary.digest_check.state if summary.digest_check is not None else NONE
    moved = counted(summary.index.moved, "record is", "records are")
    found = {
        counted(len(summary.problems), "problem"): summary.problems,
        "the index is wrong": summary.index.state == "wrong",
        f"{moved} not where the index says": summary.index.moved,
        counted(len(failures), "image does not decode", "images do not decode"): failures,
        counted(profile_failed, "assumption of readers fails", "assumptions of readers fail"): profile_failed,
        "bytes were changed since the digest was made": digest_state == CHANGED,
        "the digest is wrong, or of another file": digest_state in (OTHER_FILE, WRONG),
    }
    return [text for text, is_so in found.items() if is_so]
