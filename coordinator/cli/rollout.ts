/** Rollouts at the command line: rings as they are typed, and how they stand. */
import { DeployError } from "../../protocol/errors.ts";
import { parseRolloutView, parseRollouts, type RolloutView } from "../../protocol/intent-api.ts";
import type { Ring } from "../../protocol/intent.ts";
import { applyObjects, type ChangingOptions } from "./group.ts";
import { openClient, type OperatorOptions } from "./operator.ts";
import { scheduleFrom, type ScheduleOptions } from "./schedule-options.ts";
import { tableText } from "./table.ts";
import { printResult, type Session } from "./terminal.ts";

export interface RolloutOptions extends ChangingOptions, ScheduleOptions {
  readonly packages: string;
  readonly endpoints: string;
  readonly ring: readonly string[];
}

export async function setRollout(
  name: string,
  options: RolloutOptions,
  session: Session,
): Promise<void> {
  const schedule = scheduleFrom(options);
  const rollout = {
    name,
    packageGroup: options.packages,
    endpointGroup: options.endpoints,
    rings: options.ring.map(ringOfText),
    ...(schedule === undefined ? {} : { schedule }),
  };
  await applyObjects({ rollouts: [rollout] }, options, session);
}

/** `pilot:10`, `rest:100,success=90,error=5,delay=24`, `branch:group=berlin`. */
function ringOfText(text: string): Ring {
  const [name = "", rest = ""] = text.split(":");
  const parts = rest.split(",").map((part) => part.trim());
  return parts.reduce<Ring>((ring, part) => withRingPart(ring, part), { name });
}

function withRingPart(ring: Ring, part: string): Ring {
  const [key = "", value = ""] = part.split("=");
  if (/^[0-9]{1,3}$/u.test(part)) return { ...ring, sharePercent: Number(part) };
  if (key === "group" && value !== "") return { ...ring, endpointGroup: value };
  if (/^[0-9]{1,3}$/u.test(value)) {
    if (key === "success") return { ...ring, successPercent: Number(value) };
    if (key === "error") return { ...ring, errorPercent: Number(value) };
    if (key === "delay") return { ...ring, delayHours: Number(value) };
  }
  throw new DeployError("INPUT_INVALID", {
    what: `--ring "${ring.name}:${part}"`,
    expected: "NAME:PERCENT or NAME:group=GROUP, with success=, error= and delay= after commas",
  });
}

export async function listRollouts(options: OperatorOptions, session: Session): Promise<void> {
  await using client = await openClient(options, session);
  const rollouts = await client.ask("/v1/rollouts", parseRollouts);
  const text =
    rollouts.length === 0
      ? "no rollout yet\nnext: branchline rollout set --help\n"
      : rollouts.map(rolloutText).join("\n");
  printResult(session.terminal, options.json, { rollouts }, text);
}

export async function showRollout(
  name: string,
  options: OperatorOptions,
  session: Session,
): Promise<void> {
  await using client = await openClient(options, session);
  const rollout = await client.ask(`/v1/rollouts/${encodeURIComponent(name)}`, parseRolloutView);
  printResult(session.terminal, options.json, rollout, rolloutText(rollout));
}

function rolloutText({ name, state, stopReason, standing }: RolloutView): string {
  const rows = standing.map((ring) => [
    ring.ring,
    ring.openedAt ?? "closed",
    String(ring.targets),
    String(ring.succeeded),
    String(ring.failed),
  ]);
  const why = stopReason === undefined ? "" : `: ${stopReason}`;
  return `${name}: ${state}${why}\n${tableText(["RING", "OPENED", "TARGETS", "SUCCEEDED", "FAILED"], rows)}`;
}
