"""What a neighbour may ask of the mesh in one RPC: the library takes it by the thousand."""

from collections.abc import Collection, MutableSequence
from typing import TypeVar

from libp2p.pubsub.pb import rpc_pb2

IDS_MAX = 32
"""Message ids of one RPC, in offers and in demands; the rest comes with the next heartbeat."""

OfTopic = TypeVar("OfTopic", rpc_pb2.ControlIHave, rpc_pb2.ControlGraft, rpc_pb2.ControlPrune)


def curb(control: rpc_pb2.ControlMessage, topics: Collection[str]) -> None:
    """Cut ``control`` to one message of a kind for each of ``topics`` and to distinct ids.

    The library notes whatever topic it is told, and sends a message as often as it is named.
    """
    _keep_one_a_topic(control.ihave, topics)
    _keep_one_a_topic(control.graft, topics)
    _keep_one_a_topic(control.prune, topics)
    for offer in control.ihave:
        _keep_distinct(offer)
    wanted = rpc_pb2.ControlIWant(messageIDs=[it for one in control.iwant for it in one.messageIDs])
    _keep_distinct(wanted)
    del control.iwant[:], control.idontwant[:]
    if wanted.messageIDs:
        control.iwant.append(wanted)


def _keep_one_a_topic(messages: MutableSequence[OfTopic], topics: Collection[str]) -> None:
    kept = {message.topicID: message for message in messages if message.topicID in topics}
    del messages[:]
    messages.extend(kept.values())


def _keep_distinct(ids: rpc_pb2.ControlIHave | rpc_pb2.ControlIWant) -> None:
    distinct = list(dict.fromkeys(ids.messageIDs))[:IDS_MAX]
    del ids.messageIDs[:]
    ids.messageIDs.extend(distinct)
