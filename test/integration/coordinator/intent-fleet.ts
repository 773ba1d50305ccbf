/** What tests of intent do with a fleet: packages with rules, answers and reports of endpoints. */
import type { CheckInAnswer } from "../../../protocol/check-in.ts";
import type { Instruction } from "../../../protocol/directive.ts";
import type { ChangesAnswer, ContainerDetail, RuleDetail } from "../../../protocol/intent-api.ts";
import type { EndpointDetail, Why } from "../../../protocol/page-api.ts";
import type { IntentFile } from "../../../protocol/intent.ts";
import { parseManifest } from "../../../protocol/manifest.ts";
import type { PackageRules } from "../../../protocol/package-rules.ts";
import type { JobReport } from "../../../protocol/report.ts";
import { UNINSTALL } from "../../support/uninstall.ts";
import { directed, newFleet, type Answer, type TestEndpoint, type TestFleet } from "./fleet.ts";

export interface Offered {
  readonly ref: string;
  readonly instruction: Instruction;
}

/** An active package without content that runs a command. */
export async function activePackage(
  fleet: TestFleet,
  ref: string,
  rules: object = { uninstall: UNINSTALL },
  level = 5,
): Promise<void> {
  await publishRules(fleet, ref, rules, level);
  await fleet.activate(ref);
}

export async function publishRules(
  fleet: TestFleet,
  ref: string,
  rules: object,
  level = 5,
): Promise<void> {
  const answer = await tryPublish(fleet, ref, rules, level);
  if (answer.status !== 200) throw new Error(answer.bytes.toString());
}

export async function tryPublish(
  fleet: TestFleet,
  ref: string,
  rules: object,
  level = 5,
): Promise<Answer<{ code: string; message: string }>> {
  const [name, version] = ref.split("@");
  const action = { ...UNINSTALL, command: ["install"] };
  const manifest = parseManifest({
    v: 1,
    name,
    version,
    epoch: 1,
    level,
    action,
    rules: rules as PackageRules,
  });
  const body = await fleet.signed(manifest);
  return fleet.call("POST", "/v1/packages", { body, bearer: fleet.init.operatorToken });
}

export async function apply(
  fleet: TestFleet,
  intent: object,
  more: object = {},
): Promise<ChangesAnswer> {
  return fleet.operator("POST", "/v1/intent", { intent: { v: 1, ...intent }, ...more });
}

/** A refusal, or whatever came. */
export async function refused(
  fleet: TestFleet,
  method: "POST" | "PUT" | "GET",
  route: string,
  body?: unknown,
): Promise<{ readonly status: number; readonly code: string; readonly message: string }> {
  const bearer = fleet.init.operatorToken;
  const answer = await fleet.call<{ code: string; message: string }>(method, route, {
    bearer,
    ...(body === undefined ? {} : { body }),
  });
  return { status: answer.status, ...answer.body };
}

export async function exported(fleet: TestFleet): Promise<IntentFile> {
  return fleet.operator("GET", "/v1/intent");
}

export async function container(fleet: TestFleet, name: string): Promise<ContainerDetail> {
  return fleet.operator("GET", `/v1/containers/${name}`);
}

export async function rule(fleet: TestFleet, name: string): Promise<RuleDetail> {
  return fleet.operator("GET", `/v1/rules/${name}`);
}

export async function endpointPage(fleet: TestFleet, name: string): Promise<EndpointDetail> {
  return fleet.operator("GET", `/v1/endpoints/${name}`);
}

export async function why(fleet: TestFleet, name: string): Promise<Why["jobs"]> {
  return (await fleet.operator<Why>("GET", `/v1/endpoints/${name}/why`)).jobs;
}

/** The instructions in force; the last directive where the answer brings no new one. */
export class Listener {
  readonly endpoint: TestEndpoint;
  #last: readonly Offered[] = [];
  #order = 0;

  constructor(endpoint: TestEndpoint) {
    this.endpoint = endpoint;
  }

  async offers(): Promise<readonly Offered[]> {
    const answer = await this.endpoint.checkIn();
    if (answer.directive !== undefined) this.#last = offeredIn(answer);
    return this.#last;
  }

  /** `install acme/app@1`, in the order of the directive. */
  async texts(): Promise<readonly string[]> {
    return (await this.offers()).map(textOf);
  }

  async report(offered: Offered, state: string, more: Partial<JobReport> = {}): Promise<void> {
    const { instruction, ref } = offered;
    const [name, version] = ref.split("@");
    this.#order += 1;
    const { fleet } = this.endpoint;
    const report = {
      kind: "job",
      id: `r${this.#order}`,
      endpoint: this.endpoint.id,
      job: instruction.job,
      revision: instruction.revision,
      order: this.#order,
      name,
      version,
      purpose: "perform",
      operation: instruction.operation ?? "install",
      state,
      attempt: state === "failed" ? instruction.attemptLimit : 1,
      atMs: fleet.nowMs,
      trace: [],
      bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
      ...more,
    } as unknown as JobReport;
    const answer = await this.endpoint.report(report);
    if (answer.status !== 200) throw new Error(answer.bytes.toString());
  }

  /** Everything that is handed out succeeds, until nothing new comes. */
  async obey(): Promise<readonly string[]> {
    const done: string[] = [];
    const settled = new Set<string>();
    for (let round = 0; round < 10; round++) {
      const next = (await this.offers()).filter(({ instruction }) => {
        const { purpose, job, revision } = instruction;
        return purpose === "perform" && !settled.has(`${job} ${revision}`);
      });
      if (next.length === 0) return done;
      for (const offered of next) {
        settled.add(`${offered.instruction.job} ${offered.instruction.revision}`);
        await this.report(offered, "succeeded", { outcome: "success" });
        done.push(textOf(offered));
      }
    }
    throw new Error(`it never comes to rest: ${done.join(", ")}`);
  }
}

/** Berlin with one endpoint, `e1`, that has asked for its wishes. */
export async function berlin(): Promise<{ readonly fleet: TestFleet; readonly pc: Listener }> {
  const fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
  return { fleet, pc: await listen(fleet, "e1") };
}

export async function listen(
  fleet: TestFleet,
  name: string,
  site = "berlin",
  address = "10.1.0.1",
): Promise<Listener> {
  const listener = new Listener(await fleet.join(name, site, address));
  await listener.offers();
  return listener;
}

function textOf({ ref, instruction }: Offered): string {
  return `${instruction.operation ?? "install"} ${ref}`;
}

function offeredIn(answer: CheckInAnswer): readonly Offered[] {
  return Object.entries(directed(answer))
    .flatMap(([path, { instructions }]) => {
      const cut = path.lastIndexOf("/");
      const ref = `${path.slice(0, cut)}@${path.slice(cut + 1)}`;
      return instructions.map((instruction) => ({ ref, instruction }));
    })
    .toSorted((one, other) => one.instruction.sequence - other.instruction.sequence);
}
