from flocknode.crypto.hashing import sha256
from flocknode.node.blobs import DRAFTS_MAX, MemoryBlobs, MemoryDraft

ROOTS = [sha256(bytes([number])) for number in range(4)]


def test_oldest_bytes_go_first():
    blobs = MemoryBlobs(bytes_max=30)
    for root in ROOTS[:3]:
        blobs.put(root, bytes(10))
    blobs.put(ROOTS[0], bytes(10))
    blobs.put(ROOTS[3], bytes(10))
    assert [blobs.get(root) is not None for root in ROOTS] == [True, False, True, True]


def test_one_blob_always_fits():
    blobs = MemoryBlobs(bytes_max=5)
    blobs.put(ROOTS[0], bytes(10))
    assert blobs.get(ROOTS[0]) == bytes(10)
    blobs.put(ROOTS[1], bytes(3))
    assert blobs.get(ROOTS[0]) is None


def test_discarded_bytes_make_room():
    blobs = MemoryBlobs(bytes_max=20)
    blobs.put(ROOTS[0], bytes(20))
    blobs.discard(ROOTS[0])
    blobs.discard(ROOTS[0])
    for root in ROOTS[1:3]:
        blobs.put(root, bytes(10))
    assert blobs.get(ROOTS[1]) == blobs.get(ROOTS[2]) == bytes(10)


def test_draft_that_made_room_for_others_becomes_a_blob_all_the_same():
    blobs = MemoryBlobs()
    roots = [sha256(bytes([number])) for number in range(DRAFTS_MAX + 4)]
    drafts = {root: blobs.draft(root, 10) for root in roots}
    for root, draft in drafts.items():
        draft.append(root[:10])
        blobs.finish(root, draft, sync=False)
    assert [blobs.get(root) for root in roots] == [root[:10] for root in roots]


def test_draft_of_another_length_is_not_gone_on_with():
    blobs = MemoryBlobs()
    blobs.draft(ROOTS[0], 10).append(bytes(10))
    assert blobs.draft(ROOTS[0], 10).held == 10
    longer = blobs.draft(ROOTS[0], 20)
    longer.append(b"x" * 20)
    assert longer.take() == b"x" * 20


def test_cut_draft_holds_what_was_before_the_cut_and_what_comes_after():
    draft = MemoryDraft(8)
    draft.append(b"abcdef")
    draft.cut(2)
    draft.append(b"XY")
    assert (draft.held, draft.read(1, 99), draft.take()) == (4, b"bXY", b"abXY")
