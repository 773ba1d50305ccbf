/**
 * GET of one fragment from a plain HTTPS origin. The certificate is checked as usual, by the system's
 * authorities or the one that is pinned; the lease token is the only thing of ours that such a server sees.
 */
import { Pool } from "undici";
import { DeployError } from "../../protocol/errors.ts";
import type { Digest } from "../../protocol/ids.ts";
import { FRAGMENT_WIRE_MAX_BYTES } from "../../protocol/limits.ts";
import { fragmentPath, type PlainOrigin, type PlainProblem } from "../../protocol/plain-origin.ts";
import { boundedBody } from "./coordinator-client.ts";

const CONNECT_TIMEOUT_MS = 5000;
/** The coordinator is there as well: nobody waits long for a server that hangs. */
const SILENCE_TIMEOUT_MS = 10_000;
/** As long as the coordinator may take for one fragment. */
const REQUEST_TIMEOUT_MS = 400_000;
const CONNECTIONS = 8;
const OK = 200;
const ABSENT = new Set([404, 410]);

export interface PlainRequest {
  readonly origin: PlainOrigin;
  readonly digest: Digest;
  readonly token: string;
  /** Called with the size of each part before the next one is read: a rate may hold it back. */
  readonly onPart: (sizeBytes: number) => Promise<void>;
  readonly signal: AbortSignal;
}

export type PlainAnswer =
  | { readonly kind: "answered"; readonly bytes: Buffer }
  | { readonly kind: "failed"; readonly problem: PlainProblem; readonly detail: string };

export interface PlainClient extends AsyncDisposable {
  /** Unverified bytes, or why there are none. Throws the signal's reason only. */
  get(request: PlainRequest): Promise<PlainAnswer>;
}

export function createPlainClient(localAddress: string | undefined): PlainClient {
  const pools = new Map<string, Pool>();

  function poolOf({ url, ca }: PlainOrigin): Pool {
    const key = `${url} ${ca ?? ""}`;
    const known = pools.get(key);
    if (known !== undefined) return known;
    const made = new Pool(new URL(url).origin, {
      connections: CONNECTIONS,
      connect: { timeout: CONNECT_TIMEOUT_MS, ...(ca === undefined ? {} : { ca: [ca] }) },
      ...(localAddress === undefined ? {} : { localAddress }),
      headersTimeout: SILENCE_TIMEOUT_MS,
      bodyTimeout: SILENCE_TIMEOUT_MS,
    });
    pools.set(key, made);
    return made;
  }

  return {
    get: async (request) => answerOf(poolOf(request.origin), request),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...pools.values()].map(async (pool) => pool.destroy()));
    },
  };
}

async function answerOf(pool: Pool, request: PlainRequest): Promise<PlainAnswer> {
  const { origin, digest, token, onPart } = request;
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
  let hasBegun = false;
  try {
    const response = await pool.request({
      method: "GET",
      path: new URL(origin.url).pathname.replace(/\/$/u, "") + fragmentPath(digest),
      headers: { "accept-encoding": "identity", "x-branchline-lease": token },
      signal,
    });
    hasBegun = true;
    const { statusCode: status } = response;
    if (status === OK) {
      const onBody = async (_bytes: Buffer, partBytes: number): Promise<void> => onPart(partBytes);
      const bytes = await boundedBody(response, FRAGMENT_WIRE_MAX_BYTES, onBody);
      return { kind: "answered", bytes };
    }
    // Also a redirect: the operator's list says who is asked, nobody else.
    response.body.on("error", () => undefined).destroy();
    const problem = ABSENT.has(status) ? "absent" : "refused";
    return { kind: "failed", problem, detail: `status ${status}` };
  } catch (cause) {
    request.signal.throwIfAborted();
    const detail = cause instanceof Error ? cause.message : String(cause);
    // Encoded, or larger than any fragment.
    if (cause instanceof DeployError) return { kind: "failed", problem: "corrupt", detail };
    return { kind: "failed", problem: hasBegun ? "broken" : "unreachable", detail };
  }
}
