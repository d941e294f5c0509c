from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DocumentKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_KIND_UNSPECIFIED: _ClassVar[DocumentKind]
    DOCUMENT_KIND_CREDENTIAL: _ClassVar[DocumentKind]
    DOCUMENT_KIND_BUNDLE: _ClassVar[DocumentKind]
DOCUMENT_KIND_UNSPECIFIED: DocumentKind
DOCUMENT_KIND_CREDENTIAL: DocumentKind
DOCUMENT_KIND_BUNDLE: DocumentKind

class GuestMessage(_message.Message):
    __slots__ = ("hello", "handed_in", "order")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HANDED_IN_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    hello: GuestHello
    handed_in: HandedIn
    order: SignedOrder
    def __init__(self, hello: _Optional[_Union[GuestHello, _Mapping]] = ..., handed_in: _Optional[_Union[HandedIn, _Mapping]] = ..., order: _Optional[_Union[SignedOrder, _Mapping]] = ...) -> None: ...

class DeskMessage(_message.Message):
    __slots__ = ("greeting", "document", "application", "done")
    GREETING_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    greeting: DeskGreeting
    document: PublishedDocument
    application: KeptApplication
    done: OrderDone
    def __init__(self, greeting: _Optional[_Union[DeskGreeting, _Mapping]] = ..., document: _Optional[_Union[PublishedDocument, _Mapping]] = ..., application: _Optional[_Union[KeptApplication, _Mapping]] = ..., done: _Optional[_Union[OrderDone, _Mapping]] = ...) -> None: ...

class GuestHello(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    def __init__(self, nonce: _Optional[bytes] = ...) -> None: ...

class DeskGreeting(_message.Message):
    __slots__ = ("nonce", "invitation", "signature")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    invitation: bytes
    signature: bytes
    def __init__(self, nonce: _Optional[bytes] = ..., invitation: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class HandedIn(_message.Message):
    __slots__ = ("application", "proof")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    application: bytes
    proof: bytes
    def __init__(self, application: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...

class KeptApplication(_message.Message):
    __slots__ = ("application", "published")
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    application: bytes
    published: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, application: _Optional[bytes] = ..., published: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PublishedDocument(_message.Message):
    __slots__ = ("kind", "content")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    kind: DocumentKind
    content: bytes
    def __init__(self, kind: _Optional[_Union[DocumentKind, str]] = ..., content: _Optional[bytes] = ...) -> None: ...

class SignedOrder(_message.Message):
    __slots__ = ("request", "kind", "content", "signature")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    kind: DocumentKind
    content: bytes
    signature: bytes
    def __init__(self, request: _Optional[bytes] = ..., kind: _Optional[_Union[DocumentKind, str]] = ..., content: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class OrderDone(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
