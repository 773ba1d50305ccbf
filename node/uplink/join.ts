/**
 * Joining a fleet with a token: the coordinator proves itself by the pin before anything is sent, then
 * the node proves itself by a proof that only fits its own key (trust E1…E4).
 */
import { hostname } from "node:os";
import { randomBytes, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { Type, type Static } from "typebox";
import { buildConnector, Client } from "undici";
import {
  FleetSchema,
  parseFleet,
  parseJoinAnswer,
  type Fleet,
  type JoinAnswer,
} from "../../protocol/check-in.ts";
import { signStatement } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { EndpointNameSchema, parseEndpointName, SiteNameSchema } from "../../protocol/ids.ts";
import { fleetPin, joinProof, parseJoinToken } from "../../protocol/join-token.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { readFileIfAny, writeFileDurably } from "../content/write-file.ts";
import { bodyOf, boundedBody, createCoordinatorClient } from "./coordinator-client.ts";
import type { Identity } from "./identity.ts";

/** Two root files and a certificate. */
const FLEET_MAX_BYTES = 640 * 1024;
const JOIN_ANSWER_MAX_BYTES = 4096;
const JOIN_TIMEOUT_MS = 30_000;

const JoinedSchema = Type.Object(
  { v: Type.Literal(1), fleet: FleetSchema, name: EndpointNameSchema, site: SiteNameSchema },
  { additionalProperties: false },
);
/** Content of `fleet.json`. */
export type Joined = Static<typeof JoinedSchema>;
const parseJoined = parserOf("fleet.json", JoinedSchema);

export interface JoinSettings {
  readonly dataDir: string;
  readonly coordinatorUrl: string;
  readonly joinToken: string;
  readonly identity: Identity;
  readonly name: string | undefined;
  readonly localAddress: string | undefined;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** What an earlier start has joined. Throws NODE_STATE_INVALID on a damaged file. */
export async function readJoined(dataDir: string): Promise<Joined | undefined> {
  const bytes = await readFileIfAny(fleetPath(dataDir));
  if (bytes === undefined) return undefined;
  try {
    return parseJoined(readJson("fleet.json", bytes, FLEET_MAX_BYTES));
  } catch (cause) {
    const details = { what: "fleet.json", problem: "it is malformed" };
    throw new DeployError("NODE_STATE_INVALID", details, { cause });
  }
}

/** Throws FLEET_PIN_MISMATCH, UPLINK_UNREACHABLE or UPLINK_REFUSED. */
export async function joinFleet(settings: JoinSettings): Promise<Joined> {
  const token = parseJoinToken(settings.joinToken);
  const fleet = await pinnedFleet(settings, token.pin);
  const answer = await askToJoin(settings, fleet, token);
  const joined: Joined = { v: 1, fleet, name: answer.name, site: answer.site };
  await writeFileDurably(fleetPath(settings.dataDir), JSON.stringify(joined));
  return joined;
}

/** A name that the host suggests, in the grammar of endpoint names. */
export function suggestedName(): string {
  const name = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/gu, "-")
    .replace(/^[^A-Za-z0-9]+/u, "");
  return name === "" ? "endpoint" : name.slice(0, 63);
}

// This one connection is not verified; nothing but the request for public data goes over it, and what
// comes back counts only if the token's pin covers it and the certificate of this very connection.
async function pinnedFleet(settings: JoinSettings, pin: string): Promise<Fleet> {
  const { origin, pathname, protocol } = new URL(settings.coordinatorUrl);
  const seen: { certificate?: Buffer } = {};
  const { localAddress } = settings;
  const connect = buildConnector({
    rejectUnauthorized: false,
    timeout: JOIN_TIMEOUT_MS,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  const client = new Client(origin, {
    connect: (options, callback) => {
      connect(options, (...result) => {
        const [, socket] = result;
        const certificate =
          socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
        if (certificate !== undefined) seen.certificate = certificate.raw;
        callback(...result);
      });
    },
  });
  let fleet: Fleet;
  try {
    fleet = await requestFleet(client, pathname, settings);
  } finally {
    await client.destroy();
  }
  const isPinned = fleetPin(fleet) === pin;
  // A fleet behind a proxy with a public certificate names none; its connections are verified as the
  // web does it.
  const isOwn =
    protocol !== "https:" ||
    fleet.tlsCertificate === undefined ||
    seen.certificate?.equals(new X509Certificate(fleet.tlsCertificate).raw) === true;
  if (isPinned && isOwn) return fleet;
  throw new DeployError("FLEET_PIN_MISMATCH", { url: settings.coordinatorUrl });
}

async function requestFleet(
  client: Client,
  pathname: string,
  settings: JoinSettings,
): Promise<Fleet> {
  const url = settings.coordinatorUrl;
  try {
    const response = await client.request({
      method: "GET",
      path: `${pathname.replace(/\/$/u, "")}/v1/fleet`,
      headers: { "accept-encoding": "identity" },
      signal: AbortSignal.any([settings.signal, AbortSignal.timeout(JOIN_TIMEOUT_MS)]),
    });
    const body = await boundedBody(response, FLEET_MAX_BYTES);
    if (response.statusCode !== 200) {
      const problem = `status ${response.statusCode} instead of the fleet description`;
      throw new DeployError("UPLINK_UNREACHABLE", { url, problem });
    }
    return parseFleet(readJson("the fleet description", body, FLEET_MAX_BYTES));
  } catch (cause) {
    settings.signal.throwIfAborted();
    if (cause instanceof DeployError) throw cause;
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DeployError("UPLINK_UNREACHABLE", { url, problem }, { cause });
  }
}

async function askToJoin(
  settings: JoinSettings,
  fleet: Fleet,
  token: { readonly id: string; readonly secret: string },
): Promise<JoinAnswer> {
  const url = settings.coordinatorUrl;
  await using client = createCoordinatorClient({ url, fleet, localAddress: settings.localAddress });
  const request = {
    v: 1,
    endpoint: settings.identity.endpoint,
    name: parseEndpointName(settings.name ?? suggestedName()),
    token: token.id,
    nonce: randomBytes(16).toString("hex"),
    timeMs: settings.nowMs,
  } as const;
  const statement = { ...request, proof: joinProof(token.secret, request) };
  const answer = await client.request({
    method: "POST",
    path: "/v1/join",
    body: signStatement("join", statement, settings.identity.key),
    limitBytes: JOIN_ANSWER_MAX_BYTES,
    signal: settings.signal,
  });
  const body = bodyOf("to let this node join", url, answer);
  const joined = parseJoinAnswer(readJson("the join answer", body, JOIN_ANSWER_MAX_BYTES));
  if (joined.endpoint === settings.identity.endpoint) return joined;
  throw new DeployError("DOCUMENT_INVALID", { what: "the join answer", problem: "wrong endpoint" });
}

function fleetPath(dataDir: string): string {
  return join(dataDir, "fleet.json");
}
