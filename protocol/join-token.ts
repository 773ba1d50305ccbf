/**
 * Join token `bl1_<pin>_<id>_<secret>`: the pin proves the coordinator to the node before anything is
 * sent, the secret proves the node to the coordinator without travelling (trust E1…E4).
 */
import { createHash, createHmac } from "node:crypto";
import type { Fleet, JoinRequest } from "./check-in.ts";
import { DeployError } from "./errors.ts";
import { parseDigest, type Digest } from "./ids.ts";
import { canonicalBytes } from "./json.ts";

export interface JoinToken {
  /** First 32 hexadecimal digits of the fleet description's digest. */
  readonly pin: string;
  readonly id: string;
  /** 128 bits in hexadecimal. */
  readonly secret: string;
}

export function joinTokenText(token: JoinToken): string {
  return `bl1_${token.pin}_${token.id}_${token.secret}`;
}

export function parseJoinToken(text: string): JoinToken {
  const found = /^bl1_([0-9a-f]{32})_([0-9a-f]{16})_([0-9a-f]{32})$/u.exec(text.trim());
  const [, pin, id, secret] = found ?? [];
  if (pin === undefined || id === undefined || secret === undefined) {
    throw new DeployError("INPUT_INVALID", {
      what: "the join token",
      expected: "the text that `branchline token create` prints, beginning with bl1_",
    });
  }
  return { pin, id, secret };
}

/** The pin of a fleet description. */
export function fleetPin(fleet: Fleet): string {
  return createHash("sha256").update(canonicalBytes(fleet)).digest("hex").slice(0, 32);
}

/** HMAC over everything else of the request, so a sniffed proof fits no other key (trust E3). */
export function joinProof(secret: string, request: Omit<JoinRequest, "proof">): Digest {
  const mac = createHmac("sha256", Buffer.from(secret, "hex"));
  return parseDigest(mac.update(canonicalBytes(request)).digest("hex"));
}
