/** One-shot statements of the coordinator, signed with the director key. */
import type { KeyObject } from "node:crypto";
import type { Freshness, Membership, MetadataFiles, Roster } from "../../protocol/check-in.ts";
import { signStatement, type Envelope } from "../../protocol/dsse.ts";
import type { Digest } from "../../protocol/ids.ts";
import { sha256Of } from "../../protocol/trust/metadata.ts";
import { fileText } from "./catalog-head.ts";

/** Proves to one endpoint, for one nonce, what is in force right now (trust M8). */
export function signFreshness(director: KeyObject, freshness: Freshness): Envelope {
  return signStatement("freshness", freshness, director);
}

export function signMembership(director: KeyObject, membership: Membership): Envelope {
  return signStatement("membership", membership, director);
}

export function signRoster(director: KeyObject, roster: Roster): Envelope {
  return signStatement("roster", roster, director);
}

/** `directiveDigest` of a freshness statement: the digest of the directive's timestamp. */
export function directiveDigest(directive: MetadataFiles): Digest {
  return sha256Of(fileText(directive, "timestamp.json"));
}
