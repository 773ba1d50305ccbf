/**
 * Seals of fragments: made for every fragment that is served, looked at only where one is wrong. A signed
 * digest that differs from the index convicts its sender to anyone; a right digest over wrong bytes, or a
 * bad signature, proves nothing and stays between the two (distribution 5.5).
 */
import { hash, sign } from "node:crypto";
import { ed25519PrivateKey } from "../../protocol/dsse.ts";
import {
  decodeBulkSeal,
  encodeBulkSeal,
  sealedBytes,
  type BulkRequest,
} from "../../protocol/exchange.ts";
import {
  isSealedBy,
  proofOf,
  type FragmentProof,
  type SealedPair,
} from "../../protocol/fragment-proof.ts";
import { parseDigest, type Digest, type EndpointId, type SwarmTag } from "../../protocol/ids.ts";
import type { Refusal, SwarmItem } from "../content/ports.ts";
import type { SealFragment } from "./bulk-server.ts";
import type { FragmentCatalog } from "./fragment-catalog.ts";

export type Sealer = (request: BulkRequest, digest: Digest, receiver: EndpointId) => Buffer;

/** Signs with the endpoint's own key. */
export function createSealer(seed: Uint8Array, nowMs: () => number): Sealer {
  const key = ed25519PrivateKey(seed);
  return ({ swarm, index }, digest, receiver) => {
    const sentMs = Math.max(0, Math.round(nowMs()));
    const signature = sign(null, sealedBytes({ swarm, index, digest, receiver, sentMs }), key);
    return encodeBulkSeal({ digest, sentMs, signature });
  };
}

/** Makes the seals of what a node serves, for each peer; `seed` is of the node's identity. */
export type SealsOf = (
  seed: Uint8Array,
  catalogOf: (swarm: SwarmTag) => Pick<FragmentCatalog, "digestOf"> | undefined,
) => (receiver: EndpointId) => SealFragment;

export const servedSeals: SealsOf = (seed, catalogOf) => {
  const sealer = createSealer(seed, Date.now);
  return (receiver) => (request, bytes) => {
    // The store has found these bytes good under this digest: rot never convicts an honest node.
    const known = catalogOf(request.swarm)?.digestOf(request.index);
    const digest = known ?? parseDigest(hash("sha256", bytes, "hex"));
    return sealer(request, digest, receiver);
  };
};

/** A fragment that came with other bytes than the index says. */
export interface WrongFragment extends SealedPair {
  readonly item: SwarmItem;
  readonly index: number;
  /** What the index says. */
  readonly digest: Digest;
  readonly seal: Buffer;
}

/** What convicts the sender of a wrong fragment; undefined where it can deny. */
export function convict(wrong: WrongFragment): FragmentProof | undefined {
  const { item, index } = wrong;
  const seal = decodeBulkSeal(wrong.seal);
  if (seal.digest === wrong.digest) return undefined;
  const proof = proofOf({ manifest: item.manifestDigest, swarm: item.swarm, index }, seal);
  return isSealedBy(proof, wrong) ? proof : undefined;
}

export function accusation(
  accused: EndpointId,
  fragment: Digest,
  proof: FragmentProof | undefined,
): Refusal {
  return {
    code: "EXCHANGE_FRAGMENT_CORRUPT",
    detail: `peer ${accused} sent bytes that do not match fragment ${fragment}`,
    accused,
    fragment,
    ...(proof === undefined ? {} : { proof }),
  };
}
