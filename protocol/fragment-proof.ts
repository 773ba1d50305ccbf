/**
 * Proof that an endpoint signed a digest for a fragment: where the package's index says another, whoever
 * signed it is broken, stale or altered, and anyone can check that (distribution 5.5).
 */
import { Type, type Static } from "typebox";
import { isSignedBy, SWARM_MAX_FRAGMENTS, type BulkSeal } from "./exchange.ts";
import { TimeMsSchema } from "./field-schemas.ts";
import { DigestSchema, SwarmTagSchema, type EndpointId } from "./ids.ts";

/** The receiver is the endpoint whose report carries it, the sender the one it accuses. */
export const FragmentProofSchema = Type.Object(
  {
    manifest: DigestSchema,
    swarm: SwarmTagSchema,
    index: Type.Integer({ minimum: 0, maximum: SWARM_MAX_FRAGMENTS }),
    digest: DigestSchema,
    sentMs: TimeMsSchema,
    /** Ed25519 in base64. */
    signature: Type.String({ pattern: "^[A-Za-z0-9+/]{86}==$" }),
  },
  { additionalProperties: false },
);
export type FragmentProof = Static<typeof FragmentProofSchema>;

/** Who sent it, and to whom. */
export interface SealedPair {
  readonly sender: EndpointId;
  readonly receiver: EndpointId;
}

export function proofOf(
  fragment: Pick<FragmentProof, "manifest" | "swarm" | "index">,
  { digest, sentMs, signature }: BulkSeal,
): FragmentProof {
  return { ...fragment, digest, sentMs, signature: signature.toString("base64") };
}

/** Whether `sender` signed exactly this for `receiver`. Never throws. */
export function isSealedBy(proof: FragmentProof, { sender, receiver }: SealedPair): boolean {
  if (!Number.isSafeInteger(proof.sentMs)) return false;
  const { swarm, index, digest, sentMs } = proof;
  const signature = Buffer.from(proof.signature, "base64");
  return isSignedBy({ swarm, index, digest, receiver, sentMs }, signature, sender);
}
