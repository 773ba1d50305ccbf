/** `endpoint` and `why` in the command tree. */
import type { Command } from "commander";
import type { ContainerOptions } from "./container.ts";
import type { ChangingOptions } from "./group.ts";
import type { OperatorOptions } from "./operator.ts";
import { addScheduleOptions } from "./schedule-options.ts";
import type { Session } from "./terminal.ts";
import { changingVerb, group, listed, operatorVerb } from "./verb.ts";

export function addEndpointCommands(program: Command, session: Session): void {
  const endpoints = group(program, "endpoint", "one endpoint: what is on it and what it did");
  const parts = [
    ["show", "show its groups and what is installed"],
    ["software", "show the software that its last scan detected"],
    ["log", "show its last runs, step by step"],
  ] as const;
  for (const [part, summary] of parts) {
    operatorVerb(endpoints, `${part} <endpoint>`, summary, [
      `branchline endpoint ${part} berlin-07`,
      `branchline endpoint ${part} berlin-07 --json`,
      `branchline endpoint ${part} berlin-07 --context work`,
    ]).action(async (name: string, options: OperatorOptions) =>
      (await import("./endpoint.ts")).showEndpoint(name, part, options, session),
    );
  }
  changingVerb(
    endpoints,
    "forget <endpoint> <package@version>",
    "remove the record that it is installed; nothing runs",
    [
      "branchline endpoint forget berlin-07 acme/app@1.2.3",
      "branchline endpoint forget berlin-07 acme/app@1.2.3 --dry-run",
      "branchline endpoint forget berlin-07 acme/app@1.2.3 --json",
    ],
  ).action(async (endpoint: string, ref: string, options: ChangingOptions) =>
    (await import("./endpoint.ts")).forgetInstalled(endpoint, ref, options, session),
  );
  addUninstallCommand(program, session);
  operatorVerb(program, "why <endpoint> [package]", "say why each wish stands as it does", [
    "branchline why berlin-07",
    "branchline why berlin-07 acme/app",
    "branchline why berlin-07 acme/app --json",
  ]).action(async (endpoint: string, name: string | undefined, options: OperatorOptions) =>
    (await import("./endpoint.ts")).showWhy(endpoint, name, options, session),
  );
}

function addUninstallCommand(program: Command, session: Session): void {
  const uninstall = changingVerb(
    program,
    "uninstall <package@version>",
    "uninstall jobs, in a container of their own",
    [
      "branchline uninstall acme/app@1.2.3 --endpoint berlin-07",
      "branchline uninstall acme/app@1.2.3 --everywhere --time-frames '18:00-23:59'",
      "branchline uninstall acme/app@1.2.3 --everywhere --dry-run",
    ],
  )
    .option("--endpoint <name>", "from this endpoint; repeat it for each", listed)
    .option("--everywhere", "from everyone who has it installed")
    .option("--name <name>", "name of the container (default: from package and time)");
  addScheduleOptions(uninstall).action(
    async (
      ref: string,
      options: ContainerOptions & { readonly everywhere?: boolean; readonly name?: string },
    ) => {
      const { name = containerName(ref, session.nowMs()), everywhere, ...rest } = options;
      const having = everywhere === true ? { having: [ref] } : {};
      const selection = { ...rest, ...having, package: [ref], operation: "uninstall" };
      return (await import("./container.ts")).createContainer(name, selection, session);
    },
  );
}

/** `uninstall-acme-app-1.2.3-1764720000`. */
function containerName(ref: string, nowMs: number): string {
  const plain = ref.replaceAll(/[^A-Za-z0-9._-]+/gu, "-").slice(0, 40);
  return `uninstall-${plain}-${Math.floor(nowMs / 1000)}`;
}
