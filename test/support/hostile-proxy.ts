/**
 * An attacker on the way to a coordinator that speaks plain HTTP: passes everything on, sees all of it, and
 * answers check-ins and manifest requests in the coordinator's place when a test tells it to.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import {
  parseCheckInAnswer,
  parseCheckInRequest,
  type CheckInAnswer,
  type CheckInRequest,
  type MetadataFiles,
} from "../../protocol/check-in.ts";
import { EnvelopeSchema, peekStatement } from "../../protocol/dsse.ts";
import { parserOf, readJson } from "../../protocol/json.ts";
import { CHECK_IN_ANSWER_MAX_BYTES } from "../../protocol/limits.ts";
import { PACKED_ENCODING, unpackedBody } from "../../protocol/packed-body.ts";

const parseEnvelope = parserOf("an envelope", EnvelopeSchema);

/** A check-in as it came and as the coordinator answered it. */
export interface CheckInSeen {
  readonly request: CheckInRequest;
  readonly answer: CheckInAnswer;
}

/** What the node is told instead; undefined where there is nothing to forge this time. */
export type Forge = (seen: CheckInSeen) => CheckInAnswer | undefined;

interface Reply {
  readonly status: number;
  readonly body: Buffer;
}

interface Attack {
  readonly forge: Forge;
  deliveredCount: number;
  readonly wantedCount: number;
  readonly delivered: () => void;
}

export class HostileProxy implements AsyncDisposable {
  /** Genuine check-ins, oldest first. */
  readonly seen: CheckInSeen[] = [];
  /** Manifest bytes that are given out by digest, whatever the coordinator says. */
  readonly manifests = new Map<string, Buffer>();
  /** While set, no answer to a check-in comes through. */
  isCutting = false;
  #attack: Attack | undefined;
  readonly #server: Server;
  readonly #target: string;

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: string): Promise<HostileProxy> {
    const server = createServer();
    const proxy = new HostileProxy(server, target);
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      proxy.#answer(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /**
   * Forges check-in answers from now on. Resolves after `count` of them: with the second, the node has
   * dealt with the first, for it checks in again only then.
   */
  async attack(forge: Forge, count = 2): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#attack = { forge, deliveredCount: 0, wantedCount: count, delivered: resolve };
    await promise;
  }

  /** Passes everything on unaltered again. */
  relent(): void {
    this.#attack = undefined;
    this.isCutting = false;
    this.manifests.clear();
  }

  /** The newest catalog that went through, with all files that ever did. */
  get catalog(): MetadataFiles {
    return Object.fromEntries(
      this.seen.flatMap(({ answer }) => Object.entries(answer.catalog ?? {})),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = await buffer(request);
    const isPacked = request.headers["content-encoding"] === PACKED_ENCODING;
    const limit = CHECK_IN_ANSWER_MAX_BYTES;
    const sent = isPacked ? unpackedBody("a request", received, limit) : received;
    const path = request.url ?? "/";
    const genuine = await this.#forwarded(request, path, sent);
    const reply = path === "/v1/check-in" ? this.#checkedIn(sent, genuine) : genuine;
    const manifest = this.manifests.get(/^\/v1\/manifests\/([0-9a-f]{64})$/u.exec(path)?.[1] ?? "");
    const { status, body } = manifest === undefined ? reply : { status: 200, body: manifest };
    response.writeHead(status, { "content-type": "application/json" }).end(body);
  }

  async #forwarded(request: IncomingMessage, path: string, sent: Buffer): Promise<Reply> {
    const names = ["authorization", "content-type", "x-branchline-lease"] as const;
    const headers = names.flatMap((name) => {
      const value = request.headers[name];
      return typeof value === "string" ? [[name, value] as const] : [];
    });
    const answer = await fetch(`${this.#target}${path}`, {
      method: request.method ?? "GET",
      headers: Object.fromEntries(headers),
      ...(sent.length === 0 ? {} : { body: new Uint8Array(sent) }),
    });
    return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
  }

  #checkedIn(sent: Buffer, genuine: Reply): Reply {
    if (genuine.status !== 200) return genuine;
    const limit = CHECK_IN_ANSWER_MAX_BYTES;
    const request = peekStatement(parseEnvelope(readJson("a check-in", sent, limit)), limit);
    const answer = parseCheckInAnswer(readJson("an answer", genuine.body, limit));
    const seen = { request: parseCheckInRequest(request), answer };
    this.seen.push(seen);
    if (this.isCutting) return { status: 503, body: Buffer.from("{}") };
    const forged = this.#attack?.forge(seen);
    if (this.#attack === undefined || forged === undefined) return genuine;
    this.#attack.deliveredCount++;
    if (this.#attack.deliveredCount === this.#attack.wantedCount) this.#attack.delivered();
    return { status: 200, body: Buffer.from(JSON.stringify(forged)) };
  }
}
