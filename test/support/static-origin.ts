/**
 * A plain HTTPS server with a folder of exported fragments, as an operator would set one up: it knows nothing of
 * Branchline, and checks the lease token as an edge worker can, with the public key alone.
 */
import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { makeTlsCertificate } from "../../coordinator/trust/tls-certificate.ts";

/** How the server behaves below one path. */
export type Manner = "good" | "dying" | "rotten" | "gone";

export interface Served {
  readonly path: string;
  readonly digest: string;
  readonly client: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Endpoint of a token that an edge lets through; undefined: refused. */
  readonly holder: string | undefined;
  readonly status: number;
  /** When it was asked, by a clock that never jumps. */
  readonly atMs: number;
  sentBytes: number;
}

export class StaticOrigin implements AsyncDisposable {
  readonly folder: string;
  readonly certificate: string;
  readonly served: Served[] = [];
  /** Behaviour by the first part of the path. */
  readonly manners = new Map<string, Manner>();
  tokenKey = "";
  /** Below a path that is dying: what it still sends. */
  leftBytes = 0;
  readonly #server: Server;

  private constructor(folder: string, certificate: string, key: string) {
    this.folder = folder;
    this.certificate = certificate;
    this.#server = createServer({ cert: certificate, key }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async start(folder: string): Promise<StaticOrigin> {
    const made = await makeTlsCertificate({ hosts: ["127.0.0.1"], nowMs: Date.now() });
    const origin = new StaticOrigin(folder, made.certificatePem, made.privateKeyPem);
    origin.#server.listen(0, "127.0.0.1");
    await once(origin.#server, "listening");
    return origin;
  }

  /** URL of the part of the server that behaves like this. */
  url(name: string, manner: Manner): string {
    this.manners.set(name, manner);
    const { port } = this.#server.address() as AddressInfo;
    return `https://127.0.0.1:${port}/${name}`;
  }

  of(name: string): readonly Served[] {
    return this.served.filter(({ path }) => path.startsWith(`/${name}/`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const [, name = "", ...rest] = path.split("/");
    const digest = rest.at(-1) ?? "";
    const token = String(request.headers["x-branchline-lease"] ?? "");
    const holder = await leaseHolder(this.tokenKey, digest, token, Date.now());
    const manner = this.manners.get(name);
    const bytes = await readFile(join(this.folder, ...rest)).catch(() => undefined);
    const isThere = manner !== undefined && manner !== "gone" && bytes !== undefined;
    const status = holder === undefined ? 403 : isThere ? 200 : 404;
    const client = request.socket.remoteAddress ?? "";
    const { headers } = request;
    const atMs = performance.now();
    const served = { path, digest, client, headers, holder, status, atMs, sentBytes: 0 };
    this.served.push(served);
    if (status !== 200 || bytes === undefined) {
      response.writeHead(status).end();
      return;
    }
    if (manner === "rotten") bytes[bytes.length >> 1]! ^= 0xff;
    const isLast = manner === "dying" && (this.leftBytes -= bytes.length) < 0;
    response.writeHead(200, { "content-length": bytes.length });
    served.sentBytes = isLast ? bytes.length >> 1 : bytes.length;
    if (!isLast) response.end(bytes);
    else response.write(bytes.subarray(0, served.sentBytes), () => request.socket.destroy());
  }
}

/** What coordinator/OPERATING.md tells an edge worker to do: standard WebCrypto, nothing of ours. */
export async function leaseHolder(
  tokenKey: string,
  digest: string,
  token: string,
  nowMs: number,
): Promise<string | undefined> {
  const [expiresMs = "", holder = "", , signature = ""] = token.split(".");
  if (!(Number(expiresMs) > nowMs)) return undefined;
  const raw = Buffer.from(tokenKey, "base64url");
  const key = await webcrypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  const text = new TextEncoder().encode(`lease\n${digest}\n${holder}\n${expiresMs}`);
  const isSigned = await webcrypto.subtle.verify(
    "Ed25519",
    key,
    Buffer.from(signature, "base64url"),
    text,
  );
  return isSigned ? holder : undefined;
}
