"""A PACS that lists an image more than it gives: C-FIND and C-GET SCP by pynetdicom."""

from pathlib import Path

import pydicom
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet

AE_TITLE = "ORTHANC"
PENDING, SUCCESS = 0xFF00, 0x0000


class LyingPacs:
    """`withheld`: instances that are listed and not given; the list may change while it runs."""

    def __init__(self, files: list[Path], withheld: int = 1):
        self.datasets = [pydicom.dcmread(path) for path in files]
        self.withheld = withheld
        entity = AE(ae_title=AE_TITLE)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind, ImplicitVRLittleEndian)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelGet, ImplicitVRLittleEndian)
        for dataset in {dataset.SOPClassUID: dataset for dataset in self.datasets}.values():
            entity.add_supported_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID, scu_role=True, scp_role=True)
        handlers = [(evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    def stop(self) -> None:
        self.server.shutdown()

    def _find(self, event: evt.Event):
        level = event.identifier.QueryRetrieveLevel
        for dataset in {getattr(dataset, _key(level)): dataset for dataset in self.datasets}.values():
            answer = pydicom.Dataset()
            answer.QueryRetrieveLevel = level
            answer.StudyInstanceUID, answer.SeriesInstanceUID = dataset.StudyInstanceUID, dataset.SeriesInstanceUID
            if level == "SERIES":
                answer.Modality = dataset.Modality
            if level == "IMAGE":
                answer.SOPInstanceUID, answer.SOPClassUID = dataset.SOPInstanceUID, dataset.SOPClassUID
            yield PENDING, answer

    def _get(self, event: evt.Event):
        given = self.datasets[: len(self.datasets) - self.withheld]
        wanted = event.identifier.get("SOPInstanceUID")
        wanted = {wanted} if isinstance(wanted, str) else set(wanted or [dataset.SOPInstanceUID for dataset in given])
        given = [dataset for dataset in given if dataset.SOPInstanceUID in wanted]
        yield len(given)
        for dataset in given:
            yield PENDING, dataset


def _key(level: str) -> str:
    return {"SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
