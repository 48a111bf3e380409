"""What a run of the demo says at its end: a table for people, and the JSON of DESIGN 8 for programs."""

from lab.compare import Result
from lab.mail_store import address
from lab.progress import STAGES
from lab.site import Site
from lab.study.given import Study


def as_json(site: Site, study: Study, deliveries: list[dict], comparison: Result, notice: str) -> dict:
    """Keys that others rely on."""
    first = deliveries[0]
    bundle_bytes = sum(delivery["bundle_bytes"] for delivery in deliveries)
    seconds = {stage: first["seconds"].get(stage) for stage in STAGES}
    seconds |= {name: first.get(name) for name in ("click_to_notified", "click_to_pulled")}
    return {
        "instances": len(study.files),
        "file_bytes": study.file_bytes,
        "received_bytes": sum(delivery["received_bytes"] for delivery in deliveries),
        "bundle_bytes": bundle_bytes,
        "ratio_files": round(study.file_bytes / bundle_bytes, 3),
        "ratio_pixels": pixel_ratio(deliveries),
        "max_error": max(delivery["max_error"] for delivery in deliveries),
        "mail_bytes": sum(delivery["mail_bytes"] for delivery in deliveries),
        "pieces": sum(delivery["pieces"] for delivery in deliveries),
        "completeness": first["completeness"],
        "seconds": seconds,
        "identical": comparison.equal,
        "compared": {name: getattr(comparison, name) for name in ("sent", "pulled", "identical", "different", "missing", "extra", "bounded", "max_error", "overstated")},
        "notice": notice,
        "dir": str(site.dir),
        "dicom_port": site.gateway.port,
        "smtps_port": site.store.smtps_port,
        "imaps_port": site.store.imaps_port,
        "mail_user": address("doctor"),
        "mail_password": site.store.password("doctor"),
        "phone_user": address("phone"),
        "technician_url": site.technician_url,
        "technician_user": site.technician.name,
        "technician_password": site.technician.password,
        "portal_url": site.portal.url + "/",
        "portal_user": site.phone.name,
        "portal_password": site.phone.password,
        "portal_totp_secret": site.phone.secret,
    }


def pixel_ratio(deliveries: list[dict]) -> float | None:
    """Raw pixel bytes to coded ones; none where the study has no native pixels."""
    coded = sum(delivery["coded_pixel_bytes"] for delivery in deliveries)
    return round(sum(delivery["pixel_bytes"] for delivery in deliveries) / coded, 3) if coded else None


def table(report: dict) -> str:
    """Stages with their times, then the sizes."""
    lines = ["", "  stage      seconds"]
    lines += [f"  {stage:<9} {_seconds(report['seconds'][stage])}" for stage in STAGES]
    lines += [
        f"  {'click -> notified':<18}{_seconds(report['seconds']['click_to_notified'], 1)}",
        f"  {'click -> pulled':<18}{_seconds(report['seconds']['click_to_pulled'], 1)}",
        "",
        f"  files     {_megabytes(report['file_bytes'])}  {report['instances']} instances",
        f"  received  {_megabytes(report['received_bytes'])}  data sets over the association",
        f"  bundle    {_megabytes(report['bundle_bytes'])}  {report['ratio_files']:.2f} : 1 of the files"
        + (f", pixels alone {report['ratio_pixels']:.2f} : 1" if report["ratio_pixels"] else ""),
        f"  mail      {_megabytes(report['mail_bytes'])}  {report['pieces']} {'piece' if report['pieces'] == 1 else 'pieces'} and the cover",
        f"  largest error of a pixel: {report['max_error']}" + (" (lossless)" if report["max_error"] == 0 else ""),
    ]
    return "\n".join(lines)


def statement(report: dict) -> str:
    """What arrived, in one sentence."""
    compared = report["compared"]
    if report["identical"] and compared["bounded"]:
        return (f"All {compared['identical']} of {compared['sent']} instances arrived at the doctor: {compared['bounded']} marked as derived, no pixel "
                f"more than {compared['max_error']} off, all else equal to what was sent.")
    if report["identical"]:
        return f"All {compared['identical']} of {compared['sent']} instances arrived at the doctor, each element equal to what was sent."
    return (f"NOT the same: {compared['identical']} of {compared['sent']} instances are equal, {compared['different']} differ, "
            f"{compared['missing']} are missing, {compared['extra']} were never sent.")


def completeness_words(completeness: object) -> str:
    """What the gateway proved, from `seal::cover::Completeness`."""
    if not isinstance(completeness, dict):
        return str(completeness)
    count, listed = completeness.get("instances"), completeness.get("listed")
    return {
        "proved": f"complete: the PACS lists exactly these {count} instances",
        "partial": f"partial: {count} of {listed} that the PACS lists",
        "not_proved": f"{count} instances, completeness not proved",
    }.get(completeness.get("is"), str(completeness))


def _seconds(value: float | None, width: int = 10) -> str:
    return f"{value:{width}.2f}" if value is not None else f"{'-':>{width}}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:8.2f} MB"
