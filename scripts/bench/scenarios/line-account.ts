/** The coordinator's own account of what it sent of a package over the line, by reason. */
import { parseTraffic, WAN_REASONS, type WanReason } from "../../../protocol/traffic.ts";
import type { Stage } from "../swarm/stage.ts";
import { shown, type Check } from "./scenario.ts";

export type LineAccount = Readonly<Record<WanReason, number>>;

export async function lineAccount(stage: Stage, ref: string): Promise<LineAccount> {
  const { sites } = parseTraffic(await stage.fleet.json(["traffic"]));
  const site = sites.find((each) => `${each.package}@${each.version}` === ref);
  if (site === undefined) throw new Error(`no account of ${ref}`);
  return site.wan;
}

/** What was sent for any other reason than as the first copy. */
export function sentAgainBytes(account: LineAccount): number {
  return againReasons.reduce((sum, reason) => sum + account[reason], 0);
}

/** First copies, and every other reason that there was. */
export function accountChecks(account: LineAccount, sizeBytes: number): readonly Check[] {
  return WAN_REASONS.filter((reason) => reason === "lease" || account[reason] > 0).map((reason) =>
    shown(`  sent over the line as ${reason} ÷ package`, account[reason] / sizeBytes),
  );
}

const againReasons = WAN_REASONS.filter((reason) => reason !== "lease");
