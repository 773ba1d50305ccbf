/**
 * The operators' HTTP API as functions. Every answer passes its parser of `protocol/`; every refusal
 * becomes CLI_REFUSED with the coordinator's own code, sentence and hint.
 */
import { Type, type Static } from "typebox";
import { DeployError } from "../../protocol/errors.ts";
import {
  EndpointIdSchema,
  EndpointNameSchema,
  type Digest,
  type PackageName,
  type PackageRef,
  type SiteName,
} from "../../protocol/ids.ts";
import { parserOf, readJson, type Parse } from "../../protocol/json.ts";
import {
  SiteInputSchema,
  parseApiError,
  parseDeploymentAnswer,
  parseMissingAnswer,
  parsePackageAnswer,
  parsePackageList,
  parsePublishing,
  parseRenewal,
  parseRenewalAnswer,
  parseStatus,
  parseTokenAnswer,
  type DeploymentAnswer,
  type DeploymentInput,
  type PackageAnswer,
  type PackageInput,
  type Publishing,
  type Renewal,
  type RenewalAnswer,
  type RenewalInput,
  type SiteInput,
  type Status,
  type TokenAnswer,
  type TokenInput,
} from "../../protocol/operator-api.ts";
import { FRAGMENT_WIRE_MAX_BYTES, RENEWAL_REQUEST_MAX_BYTES } from "../../protocol/limits.ts";
import {
  parseSitePolicyAnswer,
  parseTraffic,
  type SitePolicy,
  type SitePolicyAnswer,
  type Traffic,
} from "../../protocol/traffic.ts";
import type { Connection } from "./context.ts";
import { exchange, pinnedAgent, type ExchangeAnswer, type ExchangeInput } from "./http-exchange.ts";

const ERROR_MAX_BYTES = 64 * 1024;
const ANSWER_MAX_BYTES = 4 * 1024 * 1024;
/** 100,000 endpoints with a handful of jobs each. */
const STATUS_MAX_BYTES = 256 * 1024 * 1024;

const parseSiteList = parserOf("the list of sites", Type.Array(SiteInputSchema));
const DpAnswerSchema = Type.Object({
  endpoint: EndpointIdSchema,
  name: EndpointNameSchema,
  isEnabled: Type.Boolean(),
});
export type DpAnswer = Static<typeof DpAnswerSchema>;
const parseDpAnswer = parserOf("the answer", DpAnswerSchema);

type Call = Pick<ExchangeInput, "path" | "method"> & {
  readonly json?: unknown;
  readonly bytes?: Uint8Array;
  readonly limitBytes?: number;
  /** Ends this call only; the client's own signal ends all. */
  readonly signal?: AbortSignal;
};

export class ApiClient implements AsyncDisposable {
  readonly #connection: Connection;
  readonly #signal: AbortSignal;
  readonly #agent: ReturnType<typeof pinnedAgent>;

  constructor(connection: Connection, signal: AbortSignal) {
    this.#connection = connection;
    this.#signal = signal;
    this.#agent = pinnedAgent(connection.ca);
  }

  async createSite(input: SiteInput): Promise<void> {
    await this.#send({ method: "POST", path: "/v1/sites", json: input });
  }

  async listSites(): Promise<readonly SiteInput[]> {
    return this.#read({ method: "GET", path: "/v1/sites" }, parseSiteList);
  }

  async sitePolicy(site: SiteName): Promise<SitePolicyAnswer> {
    const path = `/v1/sites/${encodeURIComponent(site)}/policy`;
    return this.#read({ method: "GET", path }, parseSitePolicyAnswer);
  }

  async setSitePolicy(site: SiteName, policy: SitePolicy): Promise<SitePolicyAnswer> {
    const path = `/v1/sites/${encodeURIComponent(site)}/policy`;
    return this.#read({ method: "PUT", path, json: policy }, parseSitePolicyAnswer);
  }

  async traffic(filter: Readonly<Record<string, string>>): Promise<Traffic> {
    const path = `/v1/traffic?${new URLSearchParams(filter).toString()}`;
    return this.#read({ method: "GET", path, limitBytes: STATUS_MAX_BYTES }, parseTraffic);
  }

  async createToken(input: TokenInput): Promise<TokenAnswer> {
    return this.#read({ method: "POST", path: "/v1/tokens", json: input }, parseTokenAnswer);
  }

  async setDp(endpoint: string, isEnabled: boolean): Promise<DpAnswer> {
    const path = `/v1/endpoints/${encodeURIComponent(endpoint)}/dp`;
    return this.#read({ method: "PUT", path, json: { isEnabled } }, parseDpAnswer);
  }

  async missing(digests: readonly Digest[], signal: AbortSignal): Promise<readonly Digest[]> {
    const call = { method: "POST", path: "/v1/fragments/missing", json: { digests } } as const;
    return (await this.#read({ ...call, signal }, parseMissingAnswer)).missing;
  }

  async putFragment(digest: Digest, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#send({ method: "PUT", path: `/v1/fragments/${digest}`, bytes, signal });
  }

  async publishing(targetPath: string, signal: AbortSignal): Promise<Publishing> {
    const path = `/v1/catalog/publishing?target=${encodeURIComponent(targetPath)}`;
    return this.#read({ method: "GET", path, signal }, parsePublishing);
  }

  async addPackage(input: PackageInput, signal: AbortSignal): Promise<PackageAnswer> {
    const call = { method: "POST", path: "/v1/packages", json: input } as const;
    return this.#read({ ...call, signal }, parsePackageAnswer);
  }

  /** Every published version of one package. */
  async published(name: PackageName): Promise<readonly PackageAnswer[]> {
    const path = `/v1/published?name=${encodeURIComponent(name)}`;
    return (await this.#read({ method: "GET", path }, parsePackageList)).packages;
  }

  /** Bytes of a published manifest or fragment, unverified. */
  async publishedBytes(
    kind: "manifests" | "fragments",
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Buffer> {
    const path = `/v1/published/${kind}/${digest}`;
    const limitBytes = FRAGMENT_WIRE_MAX_BYTES;
    return (await this.#send({ method: "GET", path, limitBytes, signal })).body;
  }

  async renewal(): Promise<Renewal> {
    const call = { method: "GET", path: "/v1/catalog/renewal" } as const;
    return this.#read({ ...call, limitBytes: RENEWAL_REQUEST_MAX_BYTES }, parseRenewal);
  }

  async renew(input: RenewalInput): Promise<RenewalAnswer> {
    const call = { method: "POST", path: "/v1/catalog/renewal", json: input } as const;
    return this.#read(call, parseRenewalAnswer);
  }

  async activatePackage(ref: PackageRef): Promise<void> {
    await this.#send({ method: "POST", path: "/v1/packages/activate", json: ref });
  }

  async deploy(input: DeploymentInput): Promise<DeploymentAnswer> {
    const call = { method: "POST", path: "/v1/deployments", json: input } as const;
    return this.#read(call, parseDeploymentAnswer);
  }

  /** Any other route that answers with a document. */
  async ask<T>(path: string, parse: Parse<T>): Promise<T> {
    return this.#read({ method: "GET", path, limitBytes: STATUS_MAX_BYTES }, parse);
  }

  /** Any other route that changes something. */
  async tell<T>(method: "POST" | "PUT", path: string, json: unknown, parse: Parse<T>): Promise<T> {
    return this.#read({ method, path, json, limitBytes: STATUS_MAX_BYTES }, parse);
  }

  async status(): Promise<Status> {
    const call = { method: "GET", path: "/v1/status", limitBytes: STATUS_MAX_BYTES } as const;
    return this.#read(call, parseStatus);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async #read<T>(call: Call, parse: Parse<T>): Promise<T> {
    const answer = await this.#send(call);
    return parse(readJson("the coordinator's answer", answer.body, answer.body.length));
  }

  async #send(call: Call): Promise<ExchangeAnswer> {
    const { url, token } = this.#connection;
    const body = call.bytes ?? (call.json === undefined ? undefined : JSON.stringify(call.json));
    const type = call.bytes === undefined ? "application/json" : "application/octet-stream";
    const answer = await this.#exchanged({
      url,
      path: call.path,
      method: call.method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": type }),
      },
      ...(body === undefined ? {} : { body }),
      limitBytes: call.limitBytes ?? ANSWER_MAX_BYTES,
      dispatcher: this.#agent,
      signal: call.signal ?? this.#signal,
    });
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw refusal(answer, url);
  }

  async #exchanged(input: ExchangeInput): Promise<ExchangeAnswer> {
    try {
      return await exchange(input);
    } catch (error) {
      const { dataDir } = this.#connection;
      // operator.json outlives a coordinator that was killed.
      const isGone = error instanceof DeployError && error.code === "CLI_UNREACHABLE";
      if (!isGone || dataDir === undefined) throw error;
      throw new DeployError("CLI_NOT_RUNNING", { path: dataDir }, { cause: error });
    }
  }
}

function refusal(answer: ExchangeAnswer, url: string): DeployError {
  const { status, body } = answer;
  try {
    const error = parseApiError(readJson("the error answer", body, ERROR_MAX_BYTES));
    return new DeployError("CLI_REFUSED", {
      problem: error.message,
      remedy: error.hint,
      apiCode: error.code,
      requestId: error.requestId,
      status,
    });
  } catch (cause) {
    if (!(cause instanceof DeployError)) throw cause;
    // Not ours: a proxy, or another program on that address.
    return new DeployError(
      "CLI_REFUSED",
      {
        problem: `${url} answered with HTTP status ${status} and no explanation`,
        remedy: "Check that a coordinator runs at that address.",
        status,
      },
      { cause },
    );
  }
}
