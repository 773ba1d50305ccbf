/**
 * Who calls: session bearers of endpoints (`endpoint.notAfterMs.mac`, kept nowhere) and tokens of operators
 * (kept as hashes).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { DeployError } from "../../protocol/errors.ts";
import { parseEndpointId, type EndpointId } from "../../protocol/ids.ts";
import { digestOf } from "../store/catalog-shelf.ts";
import { TABLES } from "../store/tables.ts";
import type { Parts } from "./parts.ts";

export function sessionBearer(secret: string, endpoint: EndpointId, notAfterMs: number): string {
  return `${endpoint}.${notAfterMs}.${macOf(secret, endpoint, String(notAfterMs))}`;
}

/** The endpoint of a valid session. Throws AUTH_REFUSED. */
export function requireSession(
  { online, records }: Parts,
  header: string,
  nowMs: number,
): EndpointId {
  const [endpoint = "", notAfterMs = "", mac = ""] = bearerOf(header).split(".");
  const isOurs = isEqualText(mac, macOf(online.sessionSecret, endpoint, notAfterMs));
  if (!isOurs) throw refused("the session is not one of ours");
  if (!(Number(notAfterMs) > nowMs)) throw refused("the session has ended");
  const id = parseEndpointId(endpoint);
  if (records.get(TABLES.endpoints, id) === undefined) throw refused("the endpoint was removed");
  return id;
}

/** Throws AUTH_REFUSED unless the header carries an operator's token. */
export function requireOperator({ records }: Parts, header: string): void {
  const given = digestOf(bearerOf(header));
  const isKnown = records
    .all(TABLES.operators)
    .some(({ tokenHash }) => isEqualText(tokenHash, given));
  if (!isKnown) throw refused("the operator token is not valid");
}

/** The secret of a join token: derived, so that no copy of the store can join anything. */
export function joinSecret(sessionSecret: string, id: string): string {
  const mac = createHmac("sha256", Buffer.from(sessionSecret, "hex"));
  return mac.update(`join-token\n${id}`).digest("hex").slice(0, 32);
}

function bearerOf(header: string): string {
  const found = /^Bearer ([\x21-\x7e]{1,400})$/u.exec(header);
  if (found?.[1] === undefined) throw refused("the request carries no bearer token");
  return found[1];
}

function macOf(secret: string, endpoint: string, notAfterMs: string): string {
  const mac = createHmac("sha256", Buffer.from(secret, "hex"));
  return mac.update(`session\n${endpoint}\n${notAfterMs}`).digest("base64url");
}

function isEqualText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function refused(problem: string): DeployError {
  return new DeployError("AUTH_REFUSED", { problem });
}
