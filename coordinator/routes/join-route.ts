/**
 * Joining: a token's secret, proven but never sent, turns a key into an endpoint of the fleet (trust 3).
 */
import { timingSafeEqual } from "node:crypto";
import {
  JoinAnswerSchema,
  parseJoinRequest,
  type JoinAnswer,
  type JoinRequest,
} from "../../protocol/check-in.ts";
import {
  ed25519PublicKey,
  EnvelopeSchema,
  openStatement,
  peekStatement,
  type Envelope,
} from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { parseEndpointName, publicKeyOf, type EndpointName } from "../../protocol/ids.ts";
import { joinProof } from "../../protocol/join-token.ts";
import { CHECK_IN_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import { isSmallOrderKey } from "../../protocol/trust/small-order.ts";
import { setRecord, type RecordChange } from "../store/records.ts";
import { TABLES, type EndpointRecord, type TokenRecord } from "../store/tables.ts";
import type { App } from "./app-type.ts";
import type { Parts } from "./parts.ts";
import { joinSecret } from "./session.ts";

// trust E4: guesses of one address; whole offices join from one address, so only failures count.
const FAILURES_MAX = 5;
const FAILURE_WINDOW_MS = 60_000;
const NAME_MAX = 63;

export function addJoinRoute(app: App, parts: Parts): void {
  const failures = new Map<string, readonly number[]>();
  app.post(
    "/v1/join",
    {
      config: { caller: "public" },
      bodyLimit: CHECK_IN_REQUEST_MAX_BYTES,
      schema: { body: EnvelopeSchema, response: { 200: JoinAnswerSchema } },
    },
    async (request) => {
      const nowMs = parts.now();
      const recent = (failures.get(request.ip) ?? []).filter(
        (atMs) => nowMs - atMs < FAILURE_WINDOW_MS,
      );
      if (recent.length >= FAILURES_MAX) throw new DeployError("TOO_MANY_REQUESTS");
      try {
        return await join(parts, request.body, nowMs);
      } catch (error) {
        if (failures.size > 10_000) failures.clear();
        failures.set(request.ip, [...recent, nowMs]);
        throw error;
      }
    },
  );
}

async function join(parts: Parts, envelope: Envelope, nowMs: number): Promise<JoinAnswer> {
  const claimed = parseJoinRequest(peekStatement(envelope, CHECK_IN_REQUEST_MAX_BYTES));
  const publicKey = publicKeyOf(claimed.endpoint);
  // trust E8: anybody can sign under such a key, so it would be nobody's identity.
  if (isSmallOrderKey(publicKey)) {
    throw new DeployError("JOIN_REFUSED", { problem: "the key of the endpoint is of small order" });
  }
  const key = ed25519PublicKey(publicKey);
  const request = openStatement(
    "join",
    envelope,
    key,
    parseJoinRequest,
    CHECK_IN_REQUEST_MAX_BYTES,
  );
  requireProof(parts, request);
  return parts.records.change(() => decideJoin(parts, request, nowMs));
}

function requireProof({ online }: Parts, request: JoinRequest): void {
  const { proof, ...rest } = request;
  const expected = joinProof(joinSecret(online.sessionSecret, request.token), rest);
  if (!timingSafeEqual(Buffer.from(proof), Buffer.from(expected))) {
    throw new DeployError("JOIN_REFUSED", { problem: "its secret is wrong" });
  }
}

function decideJoin(
  parts: Parts,
  request: JoinRequest,
  nowMs: number,
): { readonly changes: readonly RecordChange[]; readonly result: JoinAnswer } {
  const token = requireToken(parts, request, nowMs);
  const known = parts.records.get(TABLES.endpoints, request.endpoint);
  // A lost answer must not eat the token: the same key joins once.
  if (known !== undefined) return { changes: [], result: answerOf(known) };
  if (token.usesLeft === 0) throw new DeployError("JOIN_REFUSED", { problem: "it is used up" });
  const record: EndpointRecord = {
    id: request.endpoint,
    name: freeName(parts, request.name),
    homeSite: token.site,
    isDp: false,
    joinedMs: nowMs,
  };
  const changes = [
    setRecord(TABLES.tokens, token.id, { ...token, usesLeft: token.usesLeft - 1 }),
    setRecord(TABLES.endpoints, record.id, record),
    setRecord(TABLES.names, record.name, { endpoint: record.id }),
  ];
  return { changes, result: answerOf(record) };
}

function requireToken({ records }: Parts, request: JoinRequest, nowMs: number): TokenRecord {
  const token = records.get(TABLES.tokens, request.token);
  if (token === undefined) throw new DeployError("JOIN_REFUSED", { problem: "it is not known" });
  if (token.expiresMs <= nowMs)
    throw new DeployError("JOIN_REFUSED", { problem: "it has expired" });
  return token;
}

function freeName({ records }: Parts, wish: EndpointName): EndpointName {
  for (let count = 1; ; count++) {
    const suffix = count === 1 ? "" : `-${count}`;
    const name = parseEndpointName(wish.slice(0, NAME_MAX - suffix.length) + suffix);
    if (records.get(TABLES.names, name) === undefined) return name;
  }
}

function answerOf({ id, name, homeSite }: EndpointRecord): JoinAnswer {
  return { endpoint: id, name, site: homeSite };
}
