"""What an association is agreed on, by pynetdicom on the other side: as a sender that proposes everything, and as a PACS that notes what it is asked."""

from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom._uid_dict import UID_dictionary
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind,
                                  StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove)

from peers.senders import CONTEXTS_MAX

IMPLICIT_LITTLE = "1.2.840.10008.1.2"


def known(*kinds: str) -> dict[str, str]:
    """UIDs of the standard with their names, as pydicom knows them."""
    return {uid: name for uid, (name, kind, *_) in UID_dictionary.items() if kind in kinds}


@dataclass
class Agreed:
    """An acceptor's answers, and what it says of itself."""

    accepted: dict[tuple[str, str], str] = field(default_factory=dict)  # abstract syntax and first transfer syntax proposed: the one that was taken
    identity: tuple[str, str, int] | None = None


def propose(port: int, called: str, proposals: list[tuple[str, list[str]]]) -> Agreed:
    """All of them, on as many associations as it takes."""
    agreed = Agreed()
    for start in range(0, len(proposals), CONTEXTS_MAX):
        part = proposals[start:start + CONTEXTS_MAX]
        contexts = [build_context(abstract, syntaxes) for abstract, syntaxes in part]
        association = AE("CONFORMANCE").associate("127.0.0.1", port, contexts, ae_title=called)
        assert association.is_established
        acceptor = association.acceptor
        agreed.identity = (str(acceptor.implementation_class_uid), acceptor.implementation_version_name, acceptor.maximum_length)
        by_id = {context.context_id: str(context.transfer_syntax[0]) for context in association.accepted_contexts}
        for number, (abstract, syntaxes) in enumerate(part):
            if taken := by_id.get(2 * number + 1):
                agreed.accepted[abstract, syntaxes[0]] = taken
        association.release()
    return agreed


@dataclass(frozen=True)
class Asked:
    """One association that a requestor opened."""

    contexts: tuple[tuple[str, tuple[str, ...]], ...]
    scp_roles: frozenset[str]
    identity: tuple[str, str, int]


class NotingPacs:
    """Accepts every service of query and retrieval; answers with the files it has, and names their SOP classes or not."""

    def __init__(self, files: list[Path], names_classes: bool = True):
        self.data_sets, self.names_classes = [pydicom.dcmread(path) for path in files], names_classes
        self.asked: list[Asked] = []
        ae = AE("NOTING")
        for model in (StudyRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet,
                      StudyRootQueryRetrieveInformationModelMove):
            ae.add_supported_context(model, IMPLICIT_LITTLE)
        for data_set in self.data_sets:
            ae.add_supported_context(data_set.SOPClassUID, [str(data_set.file_meta.TransferSyntaxUID)], scu_role=True, scp_role=True)
        handlers = [(evt.EVT_REQUESTED, self._note), (evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        self._server.shutdown()

    def _note(self, event: evt.Event) -> None:
        requestor = event.assoc.requestor
        contexts = tuple((str(one.abstract_syntax), tuple(map(str, one.transfer_syntax))) for one in requestor.requested_contexts)
        roles = frozenset(str(uid) for uid, role in requestor.role_selection.items() if role.scp_role and not role.scu_role)
        identity = (str(requestor.implementation_class_uid), requestor.implementation_version_name, requestor.maximum_length)
        self.asked.append(Asked(contexts, roles, identity))

    def _find(self, event: evt.Event):
        level = event.identifier.QueryRetrieveLevel
        for data_set in self.data_sets if level == "IMAGE" else self.data_sets[:1]:
            answer = pydicom.Dataset()
            answer.QueryRetrieveLevel = level
            for keyword in event.identifier.dir():
                if keyword != "QueryRetrieveLevel" and keyword in data_set and (keyword != "SOPClassUID" or self.names_classes):
                    setattr(answer, keyword, data_set[keyword].value)
            yield 0xFF00, answer
        yield 0x0000, None

    def _get(self, event: evt.Event):
        yield len(self.data_sets)
        for data_set in self.data_sets:
            yield 0xFF00, data_set
