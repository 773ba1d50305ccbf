/**
 * One bounded HTTP exchange with a coordinator, and the translation of what can go wrong on the way
 * into sentences: nobody answers, the certificate is another one, the answer has no end.
 */
import type { IncomingHttpHeaders } from "node:http";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { X509Certificate } from "node:crypto";
import { Agent, request, type Dispatcher } from "undici";
import { DeployError } from "../../protocol/errors.ts";

/** The coordinator answers within milliseconds; a request that waits longer has lost it. */
const HEADERS_TIMEOUT_MS = 60_000;
const BODY_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface ExchangeInput {
  readonly url: string;
  readonly path: string;
  readonly method: "GET" | "POST" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly limitBytes: number;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
}

export interface ExchangeAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/**
 * With `ca`, that certificate or authority is trusted and nothing else. A certificate that is itself in
 * `ca` needs no host name: the pin is the identity.
 */
export function pinnedAgent(ca: string | undefined): Agent {
  return new Agent({
    connections: 8,
    connect: {
      timeout: CONNECT_TIMEOUT_MS,
      ...(ca === undefined ? {} : { ca, checkServerIdentity: identityCheck(ca) }),
    },
  });
}

/** Throws CLI_UNREACHABLE, CLI_UNTRUSTED, CLI_INTERRUPTED or DOCUMENT_TOO_LARGE. */
export async function exchange(input: ExchangeInput): Promise<ExchangeAnswer> {
  try {
    const answer = await request(`${input.url}${input.path}`, {
      method: input.method,
      headers: input.headers ?? {},
      body: input.body ?? null,
      dispatcher: input.dispatcher,
      signal: input.signal,
      headersTimeout: HEADERS_TIMEOUT_MS,
      bodyTimeout: BODY_TIMEOUT_MS,
    });
    const body = await boundedBody(answer.body, input.limitBytes);
    return { status: answer.statusCode, headers: answer.headers, body };
  } catch (error) {
    if (error instanceof DeployError) throw error;
    throw exchangeError(error, input);
  }
}

async function boundedBody(body: AsyncIterable<unknown>, limitBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of body) {
    if (!Buffer.isBuffer(part)) continue;
    sizeBytes += part.length;
    if (sizeBytes > limitBytes) {
      throw new DeployError("DOCUMENT_TOO_LARGE", { what: "the answer", limitBytes });
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function identityCheck(ca: string): (host: string, shown: PeerCertificate) => Error | undefined {
  const pems = ca.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/gu) ?? [];
  const pinned = pems.map((pem) => new X509Certificate(pem).raw);
  return (host, shown) => {
    const isPinned = pinned.some((certificate) => certificate.equals(shown.raw));
    return isPinned ? undefined : checkServerIdentity(host, shown);
  };
}

function exchangeError(error: unknown, input: ExchangeInput): DeployError {
  const { url, signal } = input;
  if (signal.aborted) {
    return new DeployError("CLI_INTERRUPTED", { remedy: "" }, { cause: error });
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const untrusted = CERTIFICATE_PROBLEMS[code];
  if (untrusted !== undefined) {
    return new DeployError("CLI_UNTRUSTED", { url, problem: untrusted }, { cause: error });
  }
  const reason = error instanceof Error ? error.message : String(error);
  const problem = CONNECTION_PROBLEMS[code] ?? reason;
  return new DeployError("CLI_UNREACHABLE", { url, problem }, { cause: error });
}

const CERTIFICATE_PROBLEMS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: "it is signed by itself",
  SELF_SIGNED_CERT_IN_CHAIN: "its authority is unknown",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its authority is unknown",
  UNABLE_TO_GET_ISSUER_CERT: "its authority is unknown",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its authority is unknown",
  CERT_SIGNATURE_FAILURE: "its signature is wrong",
  CERT_HAS_EXPIRED: "it has expired",
  CERT_NOT_YET_VALID: "it is not valid yet; check this machine's clock",
  ERR_TLS_CERT_ALTNAME_INVALID: "it is for another host name",
};

const CONNECTION_PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection is refused",
  ECONNRESET: "the connection was cut; is it https rather than http, or the reverse?",
  UND_ERR_SOCKET: "the connection was cut; is it https rather than http, or the reverse?",
  EPROTO: "it does not speak TLS; is it http rather than https?",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS; is it http rather than https?",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it does not speak TLS; is it http rather than https?",
  HPE_INVALID_CONSTANT: "it does not speak HTTP; is it https rather than http?",
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the host name cannot be resolved right now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ETIMEDOUT: "the connection timed out",
  UND_ERR_CONNECT_TIMEOUT: `nothing answered within ${CONNECT_TIMEOUT_MS / 1000} s`,
  UND_ERR_HEADERS_TIMEOUT: `no answer within ${HEADERS_TIMEOUT_MS / 1000} s`,
  UND_ERR_BODY_TIMEOUT: "the answer stopped halfway",
};
