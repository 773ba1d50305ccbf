/**
 * The ports between the rooms of a node. Memory implementations for tests live in test/support.
 */
import type { Bitmap } from "../../protocol/bitmap.ts";
import type { Membership, Roster, SourceBytes } from "../../protocol/check-in.ts";
import type { Envelope } from "../../protocol/dsse.ts";
import type { FragmentProof } from "../../protocol/fragment-proof.ts";
import type { Digest, EndpointId, SwarmTag } from "../../protocol/ids.ts";
import type { LeaseAnswer, LeaseRequest } from "../../protocol/lease.ts";
import type { DpCandidate } from "../../protocol/location.ts";
import type { Content, Manifest } from "../../protocol/manifest.ts";

/** Fragments on this node's disk, by the digest of their wire bytes. */
export interface FragmentStore {
  /** From memory, no IO. */
  has(digest: Digest): boolean;
  /**
   * The wire bytes; undefined where absent or where the stored bytes no longer match (then dropped). They
   * may come in `room`, of FRAGMENT_WIRE_MAX_BYTES, which nobody else uses until its owner is done with them.
   */
  read(digest: Digest, room?: Buffer): Promise<Buffer | undefined>;
  /** Stores wire bytes that the caller has verified; resolves when they survive a kill of the process. */
  write(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** Gives it up; harmless where it is absent. */
  delete(digest: Digest): Promise<void>;
}

/** What room is made for. */
export interface AssemblyRoom {
  /** Once the files are made, the fragments are of no more use here. */
  readonly isFinal: boolean;
  /** Of the files, what an earlier try has not written. */
  readonly leftBytes: number;
}

/** How the files of one content are made. */
export interface Assembly {
  /** Fragments are given up as they are used: they and the files do not fit, or are not to stay. */
  readonly isConsuming: boolean;
  /** What the files are made of; where it is consumed, what others need is spared. */
  readonly store: FragmentStore;
  /** Bytes of fragments that are given up together. Absent: as many as is good for the disk. */
  readonly batchBytes?: number;
}

/** The node's cache, as those see it who make files of it. */
export interface ContentCache {
  /** Frees what the files need as far as it can. */
  roomFor(content: Content, manifestDigest: Digest, room: AssemblyRoom): Promise<Assembly>;
}

/** The coordinator as last source: reached over the site's WAN line, under a lease only. */
export interface Origin {
  /** Asks for, gives back, or forces leases. Throws DeployError UPLINK_UNREACHABLE or UPLINK_REFUSED. */
  lease(request: LeaseRequest, signal: AbortSignal): Promise<LeaseAnswer>;
  /** Wire bytes of one leased fragment, unverified, at most FRAGMENT_WIRE_MAX_BYTES. Same errors. */
  fragment(digest: Digest, token: string, signal: AbortSignal): Promise<Buffer>;
  /** Whether a part of it came before its transfer broke: the next one goes on from there. */
  hasBegun?(digest: Digest): boolean;
}

/** A package whose manifest has been verified, as the swarm knows it. */
export interface SwarmItem {
  readonly swarm: SwarmTag;
  /** SHA-256 of the manifest's bytes. */
  readonly manifestDigest: Digest;
  readonly manifest: Manifest;
  /** What a fetch has to bring, by swarm index (`swarm-order.ts`). Absent: everything but the deltas. */
  readonly wanted?: Bitmap;
  /** What is taken from neighbours that have it, also after the fetch, and never over the line. */
  readonly welcome?: Bitmap;
}

export interface FetchProgress {
  /** Wire bytes on this node so far, of `manifest.content.wireBytes`. */
  readonly doneBytes: number;
  readonly bytes: SourceBytes;
}

/** Fetches and serves fragments: LAN first, the origin under a lease. */
export interface Exchange {
  /**
   * Resolves when every wanted fragment of the item is in the fragment store. Resumes from what is there.
   * Rejects with the signal's reason, or when the store cannot write or the index is broken; lost peers
   * and a lost origin are waited out.
   */
  fetch(
    item: SwarmItem,
    signal: AbortSignal,
    onProgress: (progress: FetchProgress) => void,
  ): Promise<FetchProgress>;
  /** Serves what is here of an item to the site's peers from now on (after a restart, without a fetch). */
  serve(item: SwarmItem): Promise<void>;
  /** Whether a neighbour is known to have a fragment of the item; `index` is its swarm index. */
  isNearby(item: SwarmItem, index: number): boolean;
}

/** Something the site must hear of: a peer sent bytes that do not match, a stranger dialled. */
export interface Refusal {
  readonly code: string;
  readonly detail: string;
  readonly accused?: EndpointId;
  readonly fragment?: Digest;
  /** What the accused signed, where that alone convicts it. */
  readonly proof?: FragmentProof;
}

/** Where the node stands after a check-in: whom it may share with. */
export interface SwarmPlace {
  /** Verified roster; its `site` is absent where the node is at no site: then no peers, no DP. */
  readonly roster: Roster;
  /** The DP that the agent chose by location criteria, if any. */
  readonly dp: DpCandidate | undefined;
  readonly role: "agent" | "dp";
  /** This node's own membership, shown to peers. */
  readonly membership: Envelope;
}

/** What this node allows itself towards its neighbours; it may change at any time. */
export interface ExchangeManners {
  /** Neighbours served at the same moment; 0: only what nobody else can have. */
  readonly uploadSlots: number;
  /** Resolves when so many bytes may be sent to a neighbour. */
  upload(sizeBytes: number): Promise<void>;
  /** Resolves when so many bytes may be asked of a neighbour. */
  download(sizeBytes: number): Promise<void>;
  /** Bytes that came in and were of no use. */
  wasted(kind: "corrupt" | "duplicate", sizeBytes: number): void;
}

/** What the swarm needs from the rest of the node. */
export interface SwarmSettings {
  /** 32-byte Ed25519 seed of the node's identity; its PeerId is the endpoint id. */
  readonly seed: Uint8Array;
  /** Id of the fleet; goes into the opaque mDNS name of a site. */
  readonly fleet: string;
  /** Addresses to listen on, such as /ip4/0.0.0.0/tcp/0. */
  readonly listen: readonly string[];
  readonly store: FragmentStore;
  readonly origin: Origin;
  /** Throws where the envelope is not a membership of this fleet for exactly that endpoint, in force now. */
  readonly verifyMembership: (envelope: Envelope, endpoint: EndpointId) => Membership;
  readonly onRefusal: (refusal: Refusal) => void;
  /** A member of the site fetches a package that this node has not heard of: time for a check-in. */
  readonly onNews: () => void;
  /** Absent: eight slots and no limits. */
  readonly manners?: ExchangeManners;
}

/** The running exchange of one node. */
export interface Swarm extends Exchange, AsyncDisposable {
  /** These left the fragment store: nobody is told any more that they are here. */
  evicted(digests: ReadonlySet<Digest>): void;
  /** Dialable addresses, for the check-in. */
  addresses(): readonly string[];
  /** After every accepted check-in. */
  place(place: SwarmPlace): Promise<void>;
}
