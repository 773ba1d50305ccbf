/**
 * HTTP to the coordinator, outbound only (SE-10): pinned to the fleet's certificate, bounded in size and
 * time. What is said is packed by zstd, content is not; no other encoding is taken (trust P4).
 */
import { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { buildConnector, Pool, type Dispatcher } from "undici";
import type { Fleet } from "../../protocol/check-in.ts";
import { DeployError } from "../../protocol/errors.ts";
import { readJson } from "../../protocol/json.ts";
import { parseApiError } from "../../protocol/operator-api.ts";
import { packedBody, PACKED_ENCODING, unpackedBody } from "../../protocol/packed-body.ts";
import { retryAfterMs } from "../core/backoff.ts";

/** To the first byte of the answer; a coordinator under load answers 503 long before. */
const HEADERS_TIMEOUT_MS = 30_000;
/** Between two parts of a body. */
const BODY_TIMEOUT_MS = 30_000;
/** Whole request. */
const REQUEST_TIMEOUT_MS = 120_000;
/** A fragment of 4 MiB at the 16 kB/s that background traffic never falls below, and some more. */
const BULK_TIMEOUT_MS = 400_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection without work. The coordinator would keep it for 120 s, a proxy before it for 60 or 75. */
const IDLE_MAX_MS = 50_000;
const WHAT = "the server's answer";
const PARTIAL_CONTENT = 206;
/** Answers that are not 2xx carry a code and a sentence. */
const ERROR_MAX_BYTES = 16 * 1024;
/**
 * Check-ins, leases and reports never wait behind a fragment that comes slowly. Two: a lease need not wait
 * for a report, and every further one is a handshake of 2.5 kB on the office line.
 */
const CONNECTIONS = { control: 2, bulk: 8, probe: 1 } as const;

type Lane = keyof typeof CONNECTIONS;

export interface CoordinatorRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly limitBytes: number;
  /** All of the answer's body so far, before the next part is read; `isRest`: it follows what a range left out. */
  readonly onPart?: (bytes: Buffer, isRest: boolean) => Promise<void>;
  /** Connections of their own: for fragments, which may take long, and for measurements. */
  readonly lane?: Exclude<Lane, "control">;
  readonly signal: AbortSignal;
}

/** Any answer that is not 2xx. */
export interface CoordinatorRefusal {
  readonly kind: "refused";
  readonly status: number;
  /** Code of the answer's body, where there is one. */
  readonly code: string;
  readonly problem: string;
  readonly retryAfterMs: number;
}

export type CoordinatorAnswer =
  | {
      readonly kind: "answered";
      readonly body: Buffer;
      /** Without what the request's range left out. */
      readonly isRest: boolean;
    }
  | CoordinatorRefusal;

export interface CoordinatorClient extends AsyncDisposable {
  /** Throws UPLINK_UNREACHABLE, or the signal's reason. */
  request(request: CoordinatorRequest): Promise<CoordinatorAnswer>;
}

export interface ClientSettings {
  readonly url: string;
  readonly fleet: Pick<Fleet, "tlsCertificate">;
  /** Address of this host that connections start from. */
  readonly localAddress: string | undefined;
}

export function createCoordinatorClient(settings: ClientSettings): CoordinatorClient {
  const basePath = new URL(settings.url).pathname.replace(/\/$/u, "");
  const connect = connectorOf(settings.fleet.tlsCertificate);
  const pools: Readonly<Record<Lane, Pool>> = {
    control: poolOf(settings, connect, CONNECTIONS.control),
    bulk: poolOf(settings, connect, CONNECTIONS.bulk),
    probe: poolOf(settings, connect, CONNECTIONS.probe),
  };
  return {
    request: async (request) =>
      sentRequest(pools[request.lane ?? "control"], settings.url, basePath, request),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(Object.values(pools).map(async (pool) => pool.destroy()));
    },
  };
}

/**
 * All connections share the newest TLS session: one that is resumed carries no certificate. The library holds
 * sessions weakly and would have lost it by the next check-in.
 */
function connectorOf(tlsCertificate: string | undefined): buildConnector.connector {
  const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, ...pinnedTls(tlsCertificate) });
  const held: { session?: Buffer } = {};
  return (options, done) => {
    connect(options, (...ended) => {
      ended[1]?.on("session", (session: Buffer) => {
        held.session = session;
      });
      done(...ended);
    });
  };
}

function poolOf(
  settings: ClientSettings,
  connect: buildConnector.connector,
  connections: number,
): Pool {
  return new Pool(new URL(settings.url).origin, {
    connections,
    connect,
    keepAliveTimeout: IDLE_MAX_MS,
    ...(settings.localAddress === undefined ? {} : { localAddress: settings.localAddress }),
    headersTimeout: HEADERS_TIMEOUT_MS,
    bodyTimeout: BODY_TIMEOUT_MS,
  });
}

/** The refusal as an exception; 5xx and 429 may pass by themselves. */
export function refusalError(what: string, url: string, refusal: CoordinatorRefusal): DeployError {
  const { status, problem } = refusal;
  const isPassing = status >= 500 || status === 429 || status === 408;
  return isPassing
    ? new DeployError("UPLINK_UNREACHABLE", { url, problem: `status ${status}: ${problem}` })
    : new DeployError("UPLINK_REFUSED", { what, status, problem });
}

/** The answer's body, or a throw of `refusalError`. */
export function bodyOf(what: string, url: string, answer: CoordinatorAnswer): Buffer {
  if (answer.kind === "refused") throw refusalError(what, url, answer);
  return answer.body;
}

interface PinnedTls {
  readonly ca?: string[];
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

// The pin is the coordinator's identity, not its name: it may move to another address (trust E1).
function pinnedTls(tlsCertificate: string | undefined): PinnedTls {
  if (tlsCertificate === undefined) return {};
  const pinned = new X509Certificate(tlsCertificate).raw;
  return {
    ca: [tlsCertificate],
    checkServerIdentity: (_host, certificate) =>
      certificate.raw.equals(pinned) ? undefined : new Error("it is not the fleet's certificate"),
  };
}

async function sentRequest(
  pool: Pool,
  url: string,
  basePath: string,
  request: CoordinatorRequest,
): Promise<CoordinatorAnswer> {
  const { body, limitBytes } = request;
  const isControl = request.lane === undefined;
  const timeoutMs = request.lane === "bulk" ? BULK_TIMEOUT_MS : REQUEST_TIMEOUT_MS;
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]);
  const sent = sentBody(body);
  try {
    const response = await pool.request({
      method: request.method,
      path: `${basePath}${request.path}`,
      headers: {
        "accept-encoding": isControl ? PACKED_ENCODING : "identity",
        ...sent.headers,
        ...request.headers,
      },
      body: sent.body,
      signal,
    });
    const isSuccess = response.statusCode >= 200 && response.statusCode < 300;
    const boundBytes = isSuccess ? limitBytes : ERROR_MAX_BYTES;
    const isRest = response.statusCode === PARTIAL_CONTENT;
    const onPart = async (bytes: Buffer): Promise<void> => request.onPart?.(bytes, isRest);
    const got = isControl
      ? await controlBody(response, boundBytes)
      : await boundedBody(response, boundBytes, isSuccess ? onPart : undefined);
    return isSuccess ? { kind: "answered", body: got, isRest } : refusalOf(response, got);
  } catch (cause) {
    request.signal.throwIfAborted();
    if (cause instanceof DeployError) throw cause;
    const problem = cause instanceof Error ? cause.message : String(cause);
    throw new DeployError("UPLINK_UNREACHABLE", { url, problem }, { cause });
  }
}

interface SentBody {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | null;
}

function sentBody(body: unknown): SentBody {
  if (body === undefined) return { headers: {}, body: null };
  const text = JSON.stringify(body);
  const frame = packedBody(text);
  const type = { "content-type": "application/json" };
  return frame === undefined
    ? { headers: type, body: text }
    : { headers: { ...type, "content-encoding": PACKED_ENCODING }, body: frame };
}

async function controlBody(response: Dispatcher.ResponseData, limitBytes: number): Promise<Buffer> {
  const { "content-encoding": encoding, ...headers } = response.headers;
  if (encoding !== PACKED_ENCODING) return boundedBody(response, limitBytes);
  const frame = await boundedBody({ ...response, headers }, limitBytes);
  return unpackedBody(WHAT, frame, limitBytes);
}

/**
 * Throws DOCUMENT_TOO_LARGE, or DOCUMENT_INVALID where the body is encoded. `onPart` sees all
 * that has come, and how much of it just now, before the next part is read.
 */
export async function boundedBody(
  response: Dispatcher.ResponseData,
  limitBytes: number,
  onPart?: (bytes: Buffer, partBytes: number) => Promise<void>,
): Promise<Buffer> {
  const what = WHAT;
  const encoding = response.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    response.body.on("error", () => undefined).destroy();
    throw new DeployError("DOCUMENT_INVALID", { what, problem: "it has a content encoding" });
  }
  // One buffer of the announced size: the parts of large fragments beside their sum take the space twice.
  const announcedBytes = Number(response.headers["content-length"]) || 0;
  let body = Buffer.allocUnsafe(Math.min(Math.max(0, announcedBytes), limitBytes));
  let sizeBytes = 0;
  for await (const part of response.body) {
    if (!Buffer.isBuffer(part)) continue;
    const neededBytes = sizeBytes + part.length;
    if (neededBytes > limitBytes) throw new DeployError("DOCUMENT_TOO_LARGE", { what, limitBytes });
    if (neededBytes > body.length) {
      body = Buffer.concat([body.subarray(0, sizeBytes)], Math.max(neededBytes, 2 * body.length));
    }
    sizeBytes += part.copy(body, sizeBytes);
    await onPart?.(body.subarray(0, sizeBytes), part.length);
  }
  return body.subarray(0, sizeBytes);
}

function refusalOf(response: Dispatcher.ResponseData, body: Buffer): CoordinatorRefusal {
  const header = response.headers["retry-after"];
  const waitMs = retryAfterMs(Array.isArray(header) ? header[0] : header, Date.now());
  const told = toldIn(body);
  return { kind: "refused", status: response.statusCode, retryAfterMs: waitMs, ...told };
}

function toldIn(body: Buffer): { readonly code: string; readonly problem: string } {
  try {
    const error = parseApiError(readJson("the error answer", body, ERROR_MAX_BYTES));
    return { code: error.code, problem: error.message };
  } catch {
    // A proxy's own page, for example; its text is nobody's to trust.
    return { code: "UNKNOWN", problem: "without an explanation" };
  }
}
