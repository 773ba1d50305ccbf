/**
 * A real coordinator over HTTPS with a real LevelDB, and endpoints that speak its API with undici.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import pino from "pino";
import { Agent, request } from "undici";
import { initCoordinator, type InitResult } from "../../../coordinator/init.ts";
import { runCoordinator } from "../../../coordinator/main.ts";
import { readKeyFile } from "../../../coordinator/trust/key-file.ts";
import { signPackage } from "../../../coordinator/trust/publisher.ts";
import {
  parseFreshness,
  parseMembership,
  parseRoster,
  type CheckInAnswer,
  type CheckInRequest,
  type JoinRequest,
  type Membership,
  type Roster,
} from "../../../protocol/check-in.ts";
import { parseDirectiveTarget, type DirectiveTarget } from "../../../protocol/directive.ts";
import { rawPublicKey, signStatement, type Envelope } from "../../../protocol/dsse.ts";
import { sealedBytes } from "../../../protocol/exchange.ts";
import { encodeFragmentPage } from "../../../protocol/fragment-index.ts";
import { proofOf, type FragmentProof } from "../../../protocol/fragment-proof.ts";
import {
  endpointIdOf,
  parseDigest,
  parseEndpointName,
  type Digest,
  type EndpointId,
} from "../../../protocol/ids.ts";
import { joinProof, parseJoinToken } from "../../../protocol/join-token.ts";
import { canonicalBytes, type Parse } from "../../../protocol/json.ts";
import type { LeaseAnswer } from "../../../protocol/lease.ts";
import { parseManifest, type Manifest } from "../../../protocol/manifest.ts";
import { type Action } from "../../../protocol/package-action.ts";
import type {
  PackageAnswer,
  Publishing,
  Status,
  TokenAnswer,
} from "../../../protocol/operator-api.ts";
import type { Report } from "../../../protocol/report.ts";

export interface Answer<T = unknown> {
  readonly status: number;
  readonly body: T;
  readonly bytes: Buffer;
  readonly headers: Record<string, unknown>;
}

const PASSPHRASE = "correct horse battery";

export class TestFleet implements AsyncDisposable {
  url = "";
  nowMs = 1_800_000_000_000;
  readonly folder: string;
  readonly init: InitResult;
  #agent = new Agent({ connect: { rejectUnauthorized: false } });
  #end = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(folder: string, init: InitResult) {
    this.folder = folder;
    this.init = init;
  }

  get dataDir(): string {
    return path.join(this.folder, "data");
  }

  async start(): Promise<void> {
    const ready = Promise.withResolvers<string>();
    this.#end = new AbortController();
    this.#running = runCoordinator({
      dataDir: this.dataDir,
      listen: { host: "127.0.0.1", port: 0 },
      isInsecureHttp: false,
      signal: this.#end.signal,
      log: pino({ level: "silent" }),
      onReady: ({ url }) => ready.resolve(url),
      now: () => this.nowMs,
    });
    this.#running.catch((error: unknown) => ready.reject(error));
    this.url = await ready.promise;
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#agent.close();
    await rm(this.folder, { recursive: true });
  }

  async call<T>(
    method: "GET" | "POST" | "PUT",
    route: string,
    {
      body,
      bearer,
      headers = {},
    }: { body?: unknown; bearer?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer<T>> {
    const isBytes = body instanceof Uint8Array;
    const type = isBytes ? "application/octet-stream" : "application/json";
    const answer = await request(this.url + route, {
      method,
      dispatcher: this.#agent,
      headers: {
        ...(body === undefined ? {} : { "content-type": type }),
        ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
        ...headers,
      },
      body: body === undefined ? null : isBytes ? body : JSON.stringify(body),
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    const isJson = String(answer.headers["content-type"]).includes("json");
    const parsed: unknown = isJson ? JSON.parse(bytes.toString()) : undefined;
    return { status: answer.statusCode, body: parsed as T, bytes, headers: answer.headers };
  }

  async operator<T>(method: "GET" | "POST" | "PUT", route: string, body?: unknown): Promise<T> {
    const answer = await this.call<T>(method, route, { body, bearer: this.init.operatorToken });
    if (answer.status !== 200) throw new Error(`${route}: ${answer.bytes.toString()}`);
    return answer.body;
  }

  async site(name: string, cidr: string): Promise<void> {
    await this.operator("POST", "/v1/sites", { name, criteria: [{ kind: "subnet", cidr }] });
  }

  async token(site: string, uses = 100): Promise<string> {
    const body = { site, uses, ttlSec: 3600 };
    return (await this.operator<TokenAnswer>("POST", "/v1/tokens", body)).token;
  }

  async join(name: string, site: string, address: string): Promise<TestEndpoint> {
    const endpoint = new TestEndpoint(this, name, address);
    const answer = await endpoint.join(await this.token(site));
    if (answer.status !== 200) throw new Error(answer.bytes.toString());
    return endpoint;
  }

  /** Publishes content fragments as they are, each raw, behind one fragment page. */
  async publish(
    ref: string,
    fragments: readonly Buffer[],
    action?: Action,
  ): Promise<PackageAnswer> {
    const { manifest, blobs } = packageOf(ref, fragments, action);
    for (const [digest, bytes] of blobs) {
      await this.operator("PUT", `/v1/fragments/${digest}`, bytes);
    }
    return this.operator("POST", "/v1/packages", await this.signed(manifest));
  }

  async signed(manifest: Manifest): Promise<unknown> {
    const target = `${manifest.name}/${manifest.version}`;
    const publishing = await this.operator<Publishing>(
      "GET",
      `/v1/catalog/publishing?target=${encodeURIComponent(target)}`,
    );
    const offline = await readKeyFile(this.init.keysPath, PASSPHRASE);
    const manifestBytes = canonicalBytes(manifest);
    return signPackage(offline, publishing, { manifestBytes, manifest, nowMs: this.nowMs });
  }

  async activate(ref: string): Promise<void> {
    const [name, version] = ref.split("@");
    await this.operator("POST", "/v1/packages/activate", { name, version });
  }

  async deploy(ref: string, target: unknown): Promise<void> {
    const [name, version] = ref.split("@");
    await this.operator("POST", "/v1/deployments", { name, version, target });
  }

  async status(): Promise<Status> {
    return this.operator("GET", "/v1/status");
  }
}

/** `nowMs`: where its clock stands; whoever checks its certificate needs today. */
export async function newFleet(nowMs = 1_800_000_000_000): Promise<TestFleet> {
  const folder = await mkdtemp(path.join(tmpdir(), "branchline-coordinator-"));
  const init = await initCoordinator({
    dataDir: path.join(folder, "data"),
    passphrase: PASSPHRASE,
    hosts: ["localhost", "127.0.0.1"],
    configHome: folder,
    nowMs,
  });
  const fleet = new TestFleet(folder, init);
  fleet.nowMs = nowMs;
  await fleet.start();
  return fleet;
}

export class TestEndpoint {
  readonly fleet: TestFleet;
  readonly name: string;
  address: string;
  readonly id: EndpointId;
  counter = 0;
  bearer = "";
  /** Undefined: it says nothing of its system. */
  system: CheckInRequest["system"] = undefined;
  held: CheckInRequest["held"] = {
    directive: 0,
    catalog: 0,
    catalogRoot: 1,
    directorRoot: 1,
    roster: 0,
    membershipMs: 0,
    sessionMs: 0,
  };
  readonly #key: KeyObject;

  constructor(fleet: TestFleet, name: string, address: string) {
    this.fleet = fleet;
    this.name = name;
    this.address = address;
    const { privateKey } = generateKeyPairSync("ed25519");
    this.#key = privateKey;
    this.id = endpointIdOf(rawPublicKey(privateKey));
  }

  async join(tokenText: string): Promise<Answer<{ name: string; site: string }>> {
    const token = parseJoinToken(tokenText);
    const rest: Omit<JoinRequest, "proof"> = {
      v: 1,
      endpoint: this.id,
      name: parseEndpointName(this.name),
      token: token.id,
      nonce: randomBytes(16).toString("hex"),
      timeMs: this.fleet.nowMs,
    };
    const joining = { ...rest, proof: joinProof(token.secret, rest) };
    return this.fleet.call("POST", "/v1/join", { body: signStatement("join", joining, this.#key) });
  }

  checkInBody(): unknown {
    const checkIn: CheckInRequest = {
      v: 1,
      endpoint: this.id,
      counter: ++this.counter,
      nonce: randomBytes(16).toString("hex"),
      facts: { hostName: this.name, addresses: [this.address], gateways: [] },
      listen: [`/ip4/${this.address}/tcp/4001`],
      os: "linux",
      arch: "x64",
      nodeVersion: "0.1.0",
      held: this.held,
      bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
      ...(this.system === undefined ? {} : { system: this.system }),
    };
    return signStatement("check-in", checkIn, this.#key);
  }

  /** Checks in and holds what the answer brought. */
  async checkIn(): Promise<CheckInAnswer & { readonly sizeBytes: number }> {
    const answer = await this.fleet.call<CheckInAnswer>("POST", "/v1/check-in", {
      body: this.checkInBody(),
    });
    if (answer.status !== 200) throw new Error(answer.bytes.toString());
    const { body } = answer;
    const freshness = payload(body.freshness, parseFreshness);
    this.held = {
      ...this.held,
      directive: freshness.directiveVersion,
      catalog: freshness.catalogVersion,
      ...(body.roster === undefined ? {} : { roster: rosterIn(body).version }),
      ...(body.membership === undefined ? {} : { membershipMs: membershipIn(body).notAfterMs }),
      ...(body.session === undefined ? {} : { sessionMs: body.session.notAfterMs }),
    };
    this.bearer = body.session?.bearer ?? this.bearer;
    return { ...body, sizeBytes: answer.bytes.length };
  }

  async get(route: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.fleet.call("GET", route, { bearer: this.bearer, headers });
  }

  async lease(manifest: Digest, want: number[], more: object = {}): Promise<Answer<LeaseAnswer>> {
    const body = { manifest, want, release: [], ...more };
    return this.fleet.call("POST", "/v1/leases", { bearer: this.bearer, body });
  }

  /** What a receiver reports where this endpoint signed `digest` for a fragment. */
  seal(
    fragment: Pick<FragmentProof, "manifest" | "swarm" | "index">,
    digest: Digest,
    receiver: EndpointId,
  ): FragmentProof {
    const { swarm, index } = fragment;
    const sentMs = this.fleet.nowMs;
    const bytes = sealedBytes({ swarm, index, digest, receiver, sentMs });
    return proofOf(fragment, { digest, sentMs, signature: sign(null, bytes, this.#key) });
  }

  async report(...reports: Report[]): Promise<Answer> {
    const body = { reports: reports.map((report) => signStatement("report", report, this.#key)) };
    return this.fleet.call("POST", "/v1/reports", { bearer: this.bearer, body });
  }
}

function payload<T>(envelope: Envelope, parse: Parse<T>): T {
  return parse(JSON.parse(Buffer.from(envelope.payload, "base64").toString()));
}

export function rosterIn(answer: CheckInAnswer): Roster {
  return payload(answer.roster!, parseRoster);
}

export function membershipIn(answer: CheckInAnswer): Membership {
  return payload(answer.membership!, parseMembership);
}

/** Targets of a directive: path -> custom. */
export function directed(answer: CheckInAnswer): Record<string, DirectiveTarget> {
  const text = answer.directive?.["targets.json"];
  if (text === undefined) throw new Error("no directive");
  const { signed } = JSON.parse(text) as {
    signed: { targets: Record<string, { custom: unknown }> };
  };
  return Object.fromEntries(
    Object.entries(signed.targets).map(([name, { custom }]) => [
      name,
      parseDirectiveTarget(custom),
    ]),
  );
}

export function digestOf(bytes: Uint8Array): Digest {
  return parseDigest(createHash("sha256").update(bytes).digest("hex"));
}

export function packageOf(
  ref: string,
  fragments: readonly Buffer[],
  action: Action = { kind: "store", path: "acme" },
): { readonly manifest: Manifest; readonly blobs: ReadonlyMap<Digest, Buffer> } {
  const [name, version] = ref.split("@");
  const page = encodeFragmentPage(
    fragments.map((bytes) => ({
      digest: digestOf(bytes),
      rawHint: digestOf(bytes).slice(0, 32),
      wireBytes: bytes.length,
      rawBytes: bytes.length,
    })),
  );
  const files = Buffer.from("[]");
  const wireBytes = [page, files, ...fragments].reduce((sum, bytes) => sum + bytes.length, 0);
  const content = {
    fragmentCount: fragments.length,
    fileCount: 1,
    wireBytes,
    fileBytes: wireBytes,
    fragmentPages: [{ digest: digestOf(page), sizeBytes: page.length }],
    filePages: [{ digest: digestOf(files), sizeBytes: files.length }],
  };
  const manifest = parseManifest({
    v: 1,
    name,
    version,
    epoch: 1,
    level: 5,
    action,
    ...(fragments.length === 0 ? {} : { content }),
  });
  const all = fragments.length === 0 ? [] : [page, files, ...fragments];
  return { manifest, blobs: new Map(all.map((bytes) => [digestOf(bytes), bytes])) };
}
