// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {
    Attempt,
    Conviction,
    IntegerTerms,
    Offence,
    Plan,
    ProposalStatement,
    SetStatement,
    TaskSpecification
} from "../src/interfaces/Types.sol";
import {ChaCha20} from "../src/libraries/ChaCha20.sol";
import {Headers} from "../src/libraries/Headers.sol";
import {Statements} from "../src/libraries/Statements.sol";
import {Step} from "../src/libraries/Step.sol";
import {Trees} from "../src/libraries/Trees.sol";
import {Fixture} from "./Fixture.sol";
import {Hashing} from "./Hashing.sol";

/// @notice A round whose vectors are known where proofs look: one leaf of each tree, below siblings out of nowhere.
abstract contract ProofFixture is Fixture {
    uint256 internal constant TRAINER_KEY = 0xB0B;

    uint256 internal words;
    uint256 internal trainers;
    uint256 internal coordinate; // what proofs look at
    uint256 internal lieColumn = 1; // whose mask sum lies are about
    int256 internal model; // the model's word there, and the one of the last statement
    int256 internal following;
    uint256 internal excess; // weight that the set claims beyond the roster's
    Hashing internal hashing;
    uint256[] internal trainerKeys;
    mapping(bytes32 root => bytes) internal openings;
    bytes[] internal records;
    bytes32[3][] internal seedsOf;

    /// @dev Lies that the fixture's proposals tell.
    enum Lie {
        None,
        Mask,
        Aggregate,
        Step
    }

    function setUpProofs(uint256 trainers_, uint256 words_) internal {
        setUpProofs(trainers_, words_, words_ - 3);
    }

    function setUpProofs(uint256 trainers_, uint256 words_, uint256 coordinate_) internal {
        deploy();
        hashing = new Hashing();
        addValidators(12);
        joinBeacon(12);
        (trainers, words, coordinate) = (trainers_, words_, coordinate_);
        TaskSpecification memory s = specification(trainers_, 3, 1);
        IntegerTerms memory t = s.terms.integers;
        (t.words, t.width, t.bits, t.tau, t.scaleBits) = (uint32(words_), 16, 8, 31, 20);
        s.modelRoot = plant(Trees.MODEL, 4 * words_, modelLeaf(0), "W");
        s.rosterRoot = rosterRoot();
        s.terms.trainersMin = 2;
        task = createTask(s);
        for (uint256 i = 0; i < trainers_; ++i) {
            trainerKeys.push(TRAINER_KEY + i);
        }
        openAndDraw();
        vm.deal(RELAYER, 10 ether);
        vm.deal(address(this), 10 ether);
    }

    /// @dev Every leaf of the roster; each trainer weighs one.
    function rosterBytes() internal view returns (bytes memory) {
        bytes[] memory leaves = new bytes[](trainers);
        for (uint256 i = 0; i < trainers; ++i) {
            leaves[i] = abi.encode(i, vm.addr(TRAINER_KEY + i), uint256(1), keccak256("peer"));
        }
        return concat(leaves);
    }

    function rosterRoot() internal view returns (bytes32) {
        bytes32[] memory nodes = new bytes32[](trainers);
        bytes memory roster = rosterBytes();
        for (uint256 i = 0; i < trainers; ++i) {
            nodes[i] = sha256(bytes.concat(hex"00", slice(roster, 128 * i, 128 * (i + 1))));
        }
        return Trees.seal(Trees.ROSTER, roster.length, Trees.fold(nodes));
    }

    /// @dev Name a tree by one true leaf and made-up siblings; keep its opening.
    function plant(uint8 kind, uint256 byteLength, bytes memory leaf, bytes memory salt)
        internal
        returns (bytes32 root)
    {
        uint256 count = Trees.leavesOf(byteLength, Trees.LEAF_BYTES);
        uint256 position = leafAt(kind);
        bytes memory opening = leaf;
        uint256 siblings = Trees.pathLength(position, count);
        for (uint256 i = 0; i < siblings; ++i) {
            opening = bytes.concat(opening, keccak256(abi.encode(salt, kind, i)));
        }
        root = hashing.rootOf(kind, byteLength, Trees.LEAF_BYTES, position, opening);
        openings[root] = opening;
    }

    function leafAt(uint8 kind) internal view returns (uint256) {
        return coordinate / (kind == Trees.MODEL ? 256 : 512);
    }

    function leafLength(uint256 byteLength, uint256 position) internal pure returns (uint256) {
        uint256 left = byteLength - position * Trees.LEAF_BYTES;
        return left < Trees.LEAF_BYTES ? left : Trees.LEAF_BYTES;
    }

    /// @dev Bytes out of nowhere with `value` as the little-endian word at the coordinate.
    function leafWith(uint256 value, uint256 bytesEach, bytes memory salt) internal view returns (bytes memory leaf) {
        uint256 perLeaf = Trees.LEAF_BYTES / bytesEach;
        leaf = new bytes(leafLength(words * bytesEach, coordinate / perLeaf));
        bytes32 noise = keccak256(salt);
        for (uint256 i = 0; i < leaf.length; ++i) {
            if (i % 32 == 0) noise = keccak256(abi.encode(noise));
            leaf[i] = noise[i % 32] | 0x01;
        }
        uint256 at = coordinate % perLeaf * bytesEach;
        for (uint256 i = 0; i < bytesEach; ++i) {
            leaf[at + i] = bytes1(uint8(value >> (8 * i)));
        }
    }

    function modelLeaf(int256 value) internal view returns (bytes memory) {
        return leafWith(uint256(value), 4, "model");
    }

    function seedAt(uint256 i, uint256 column) internal pure returns (bytes32) {
        return keccak256(abi.encode("seed", i, column));
    }

    /// @dev Include everybody, signed by all seats, and wait until proposals are open.
    function includeTruth() internal {
        includeBy(allSeats());
        skip(35);
    }

    function includeBy(uint256 seatBits) internal {
        bytes32 ctx = manager.attemptOf(task).ctx;
        delete records;
        for (uint256 i = 0; i < trainers; ++i) {
            records.push(recordOf(ctx, i));
        }
        includeRecords(seatBits);
    }

    function includeRecords(uint256 seatBits) internal {
        IRoundManager.InclusionArgs memory args = includeArgs(fullRoster(), seatBits, 0);
        args.inclusionRoot = Trees.seal(Trees.INCLUSION, 321 * records.length, Trees.fold(recordLeaves()));
        args.weight += excess;
        signInclude(args);
        vm.prank(RELAYER);
        manager.include(args);
    }

    function recordLeaves() internal view returns (bytes32[] memory nodes) {
        nodes = new bytes32[](records.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            nodes[i] = sha256(bytes.concat(hex"00", records[i]));
        }
    }

    function fullRoster() internal view returns (uint256) {
        return trainers == 256 ? type(uint256).max : (1 << trainers) - 1;
    }

    function recordOf(bytes32 ctx, uint256 i) internal returns (bytes memory) {
        address trainer = vm.addr(trainerKeys[i]);
        bytes memory commitments;
        for (uint256 j = 0; j < 3; ++j) {
            commitments = bytes.concat(commitments, Headers.commitment(ctx, uint160(trainer), j, seedAt(i, j)));
        }
        bytes32 root = plant(Trees.MASKED_VECTOR, 2 * words, leafWith(masked(i), 2, abi.encode("y", i)), abi.encode(i));
        bytes32 caps = keccak256(abi.encode("caps", i));
        return
            signedRecord(
                abi.encode(ctx, i, trainer, root, words, uint256(16), sha256(commitments), caps), trainerKeys[i]
            );
    }

    function signedRecord(bytes memory head, uint256 key) internal view returns (bytes memory) {
        bytes32 hash = keccak256(abi.encodePacked(Statements.HEADER_TYPE, head));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", manager.domainSeparator(), hash)));
        return abi.encodePacked(head, r, s, v);
    }

    /// @dev y at the coordinate: q = i + 1 under three masks.
    function masked(uint256 i) internal view returns (uint256) {
        uint256 sum = i + 1;
        for (uint256 j = 0; j < 3; ++j) {
            bytes32[] memory one = new bytes32[](1);
            one[0] = seedAt(i, j);
            sum += wordIn(maskGroup(one));
        }
        return sum & 0xffff;
    }

    function group() internal view returns (uint256) {
        return coordinate * 2 / 32;
    }

    function maskGroup(bytes32[] memory seeds) internal view returns (bytes32) {
        return ChaCha20.sum(seeds, group() >> 1, group() & 1 == 1, 16);
    }

    function wordIn(bytes32 g) internal view returns (uint256) {
        uint256 at = coordinate % 16 * 2;
        return uint256(uint8(g[at])) | uint256(uint8(g[at + 1])) << 8;
    }

    function columnSeeds(uint256 column) internal view returns (bytes32[] memory seeds) {
        seeds = new bytes32[](trainers);
        for (uint256 i = 0; i < trainers; ++i) {
            seeds[i] = seedAt(i, column);
        }
    }

    /// @dev The root of a column's mask sum; `wrong` turns one bit of the word at the coordinate.
    function plantMask(uint256 column, bool wrong) internal returns (bytes32) {
        bytes32 g = maskGroup(columnSeeds(column));
        bytes memory leaf = leafWith(0, 2, abi.encode("mask", column));
        uint256 start = group() % 32 * 32;
        for (uint256 i = 0; i < 32 && start + i < leaf.length; ++i) {
            leaf[start + i] = g[i];
        }
        if (wrong) leaf[start + coordinate % 16 * 2] ^= 0x01;
        return plant(Trees.MASK_SUM, 2 * words, leaf, abi.encode("M", column, wrong));
    }

    function maskWord(uint256 column, bool wrong) internal view returns (uint256 word) {
        word = wordIn(maskGroup(columnSeeds(column)));
        if (wrong) word ^= 1;
    }

    /// @dev A statement over the accepted set in which just the lie is told.
    function statement(Lie lie, uint256 seatBits, uint256 view_) internal returns (ProposalStatement memory p) {
        (p.task, p.view_, p.maskRoots) = (task, view_, new bytes32[](3));
        uint256 sum = trainers * (trainers + 1) / 2;
        for (uint256 j = 0; j < 3; ++j) {
            bool wrong = lie == Lie.Mask && j == lieColumn;
            p.maskRoots[j] = plantMask(j, wrong);
            sum = (sum + maskWord(j, false) + 65_536 - maskWord(j, wrong)) & 0xffff;
        }
        if (lie == Lie.Aggregate) ++sum;
        p.aggregateRoot = plant(Trees.AGGREGATE, 2 * words, leafWith(sum & 0xffff, 2, "R"), abi.encode(lie));
        int256 signed = int256(int16(uint16(sum)));
        IntegerTerms memory t = tasks.specificationOf(task).terms.integers;
        int256 next = Step.next(model, signed, trainers + excess, t);
        if (lie == Lie.Step) ++next;
        following = next;
        p.modelRoot = plant(Trees.MODEL, 4 * words, modelLeaf(next), abi.encode("next", lie));
        p.seats = seatBits;
        p.signatures = signed_(p);
    }

    function signed_(ProposalStatement memory p) internal view returns (bytes memory) {
        IRoundManager.ProposalArgs memory args = argsOf(p);
        signPropose(args);
        return args.signatures;
    }

    function argsOf(ProposalStatement memory p) internal view returns (IRoundManager.ProposalArgs memory args) {
        Attempt memory a = manager.attemptOf(task);
        (args.task, args.round, args.attempt, args.view_) = (task, a.round, a.attempt, p.view_);
        (args.maskRoots, args.aggregateRoot, args.modelRoot) = (p.maskRoots, p.aggregateRoot, p.modelRoot);
        (args.seats, args.signatures) = (p.seats, p.signatures);
    }

    /// @dev Put a statement on chain; as the accepted one it needs no signatures any more.
    function submit(ProposalStatement memory p) internal {
        IRoundManager.ProposalArgs memory args = argsOf(p);
        vm.prank(RELAYER);
        manager.propose(args);
        p.signatures = "";
    }

    function seedOpening(ProposalStatement memory p, uint256 column)
        internal
        returns (ISlashingManager.SeedOpening memory o)
    {
        bytes32 ctx = manager.attemptOf(task).ctx;
        (o.proposal, o.column, o.group) = (p, column, group());
        bytes[] memory parts = new bytes[](trainers);
        for (uint256 i = 0; i < trainers; ++i) {
            bytes memory others;
            uint256 trainer = uint160(vm.addr(trainerKeys[i]));
            for (uint256 j = 0; j < 3; ++j) {
                if (j == column) continue;
                others = bytes.concat(others, Headers.commitment(ctx, trainer, j, seedAt(i, j)));
            }
            parts[i] = bytes.concat(slice(records[i], 76, 128), slice(records[i], 224, 321), seedAt(i, column), others);
        }
        o.contributions = concat(parts);
        o.used = openings[p.maskRoots[column]];
        o.own = openings[plantMask(column, false)];
    }

    function batch(ProposalStatement memory p, uint256 first, uint256 level)
        internal
        view
        returns (ISlashingManager.AggregateBatch memory b)
    {
        (b.proposal, b.coordinate, b.first, b.level) = (p, coordinate, first, level);
        uint256 last = first + (1 << level) < trainers ? first + (1 << level) : trainers;
        bytes[] memory headers = new bytes[](last - first);
        bytes[] memory vectors = new bytes[](last - first);
        for (uint256 i = first; i < last; ++i) {
            headers[i - first] = bytes.concat(slice(records[i], 76, 128), slice(records[i], 192, 321));
            vectors[i - first] = openings[bytes32(slice(records[i], 96, 128))];
        }
        (b.headers, b.openings) = (concat(headers), concat(vectors));
        b.path = pathAbove(first, level);
        if (last < trainers) return b;
        b.closing = bytes.concat(
            openings[p.maskRoots[0]], openings[p.maskRoots[1]], openings[p.maskRoots[2]], openings[p.aggregateRoot]
        );
    }

    /// @dev Siblings from the node over a batch to the top of the inclusion tree.
    function pathAbove(uint256 first, uint256 level) internal view returns (bytes memory path) {
        bytes32[] memory nodes = recordLeaves();
        uint256 width = nodes.length;
        for (uint256 l = 0; width > 1; ++l) {
            if (l >= level && ((first >> l) ^ 1) < width) path = bytes.concat(path, nodes[(first >> l) ^ 1]);
            for (uint256 i = 0; i + 1 < width; i += 2) {
                nodes[i >> 1] = Trees.join(nodes[i], nodes[i + 1]);
            }
            if (width & 1 == 1) nodes[width >> 1] = nodes[width - 1];
            width = (width + 1) >> 1;
        }
    }

    function setStatement() internal view returns (SetStatement memory s) {
        bytes memory commitments;
        for (uint256 seat = 0; seat < 9; ++seat) {
            commitments = bytes.concat(commitments, keccak256(abi.encode("mask", seat)));
        }
        s.inclusionRoot = manager.settlementOf(task, manager.attemptOf(task).round).inclusionRoot;
        (s.trainers, s.weight, s.seats, s.commitmentsHash) =
        (fullRoster(), trainers + excess, 511, keccak256(commitments));
    }

    function stepProof(ProposalStatement memory p) internal view returns (ISlashingManager.StepProof memory s) {
        (s.proposal, s.set, s.coordinate) = (p, setStatement(), coordinate);
        s.model = openings[manager.attemptOf(task).modelRoot];
        s.aggregate = openings[p.aggregateRoot];
        s.next = openings[p.modelRoot];
    }

    function conviction(Offence offence, uint256 seatBits) internal view returns (Conviction memory c) {
        Attempt memory a = manager.attemptOf(task);
        uint256[] memory committee = committeeOf(task);
        c.validators = new uint256[](countBits(seatBits));
        uint256 next = 0;
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if ((seatBits >> seat) & 1 == 1) c.validators[next++] = committee[seat];
        }
        (c.task, c.round, c.attempt, c.offence, c.ctx) = (task, a.round, a.attempt, offence, a.ctx);
    }

    function _equivocation(uint256 seat) internal view returns (ISlashingManager.Equivocation memory e) {
        uint256[] memory ids = committeeOf(task);
        e.context = contextOf(ids);
        bytes32 ctx = manager.attemptOf(task).ctx;
        e.slot = 2;
        e.first = abi.encode(ctx, seat % 3, bytes32("set"), bytes32("a"), words);
        e.second = abi.encode(ctx, seat % 3, bytes32("set"), bytes32("b"), words);
        e.firstSignature = signature(ids[seat], keccak256(abi.encodePacked(Statements.MASK_ROOT_TYPE, e.first)));
        e.secondSignature = signature(ids[seat], keccak256(abi.encodePacked(Statements.MASK_ROOT_TYPE, e.second)));
    }

    function _equivocator(ISlashingManager.Equivocation memory e, uint256 validator)
        internal
        pure
        returns (Conviction memory c)
    {
        c.validators = new uint256[](1);
        c.validators[0] = validator;
        (c.task, c.round, c.attempt) = (e.context.task, e.context.round, e.context.attempt);
        (c.offence, c.ctx) = (Offence.Equivocation, abi.decode(e.first, (bytes32)));
    }

    /// @dev A seat's MASK_ROOT.
    function maskRootSignature(uint256 seat, bytes32 root) internal view returns (bytes memory) {
        Statements.MaskRoot memory s = Statements.MaskRoot(
            manager.attemptOf(task).ctx,
            seat % 3,
            manager.settlementOf(task, manager.attemptOf(task).round).inclusionRoot,
            root,
            words
        );
        return signature(committeeOf(task)[seat], Statements.hash(s));
    }
}
