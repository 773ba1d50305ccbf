/**
 * Wake-on-LAN for containers: at their start the endpoints that are off are woken by a node of their own
 * site; who comes up in time counts as woken, and only these are shut down at the end (OCO-7…OCO-12).
 */
import { createHash } from "node:crypto";
import { planScheduleOf } from "../core/intent/intent-schedule.ts";
import { wakeOutcome, wakesDue, type WakeNode } from "../core/intent/wake.ts";
import type { EndpointId } from "../../protocol/ids.ts";
import { admitsTime, parseTimeFrames } from "../../protocol/time-frame.ts";
import type { ContainerRecord, WakeRecord } from "../store/intent-records.ts";
import { setRecord } from "../store/records.ts";
import { TABLES, type Presence } from "../store/tables.ts";
import { openTargets } from "./containers.ts";
import type { Parts } from "./parts.ts";

/** Orders the wake-ups that are due. One that nobody can broadcast yet is tried again later. */
export async function orderWakes(parts: Parts): Promise<void> {
  const { records } = parts;
  for (const container of records.all(TABLES.containers)) {
    if (container.schedule?.wake !== true || container.abortedMs !== undefined) continue;
    const orders = ordersOf(parts, container);
    if (orders.length === 0) continue;
    await records.change(() => ({
      changes: orders.map((wake) =>
        setRecord(TABLES.wakes, `${wake.endpoint}/${wake.container}`, wake),
      ),
      result: undefined,
    }));
  }
}

/** What a contact says of the wake-ups that were sent to the endpoint. */
export async function noteWoken(
  { records, settings }: Parts,
  endpoint: EndpointId,
  { seenMs, system }: Presence,
): Promise<void> {
  const open = records
    .below(TABLES.wakes, endpoint)
    .filter(([, wake]) => wake.isSettled !== true && seenMs >= wake.sentMs);
  if (open.length === 0) return;
  await records.change(() => ({
    changes: open.map(([id, wake]) => {
      const contact = { seenMs, bootMs: system?.bootMs };
      const outcome = wakeOutcome(wake, contact, seenMs, settings.wake);
      const woken = outcome === "woken" ? { wokenMs: seenMs } : {};
      return setRecord(TABLES.wakes, id, { ...wake, isSettled: true, ...woken });
    }),
    result: undefined,
  }));
}

function ordersOf(parts: Parts, container: ContainerRecord): readonly WakeRecord[] {
  const { records, presence, sites, settings, now } = parts;
  const nowMs = now();
  const { name, schedule, createdMs } = container;
  const plan = planScheduleOf(schedule, parts.intents.zone);
  const startMs = plan.startMs ?? createdMs;
  const isInFrame =
    plan.timeFrames === undefined || admitsTime(parseTimeFrames(plan.timeFrames), plan.zone, nowMs);
  if (nowMs < startMs || plan.isPaused || !isInFrame) return [];
  const nodeOf = (id: EndpointId): WakeNode => nodeFrom(id, presence);
  const targets = openTargets(parts, container).map(({ id }) => nodeOf(id));
  const asked = new Set(
    targets
      .map(({ endpoint }) => endpoint)
      .filter((id) => records.get(TABLES.wakes, `${id}/${name}`) !== undefined),
  );
  const nodesAt = (site: string): readonly WakeNode[] => {
    const listing = sites.at(site, nowMs);
    return [...(listing?.dps ?? []), ...(listing?.peers ?? [])].map(({ record }) =>
      nodeOf(record.id),
    );
  };
  const due = wakesDue(
    { startMs, endMs: plan.endMs },
    targets,
    { nodesAt, asked },
    nowMs,
    settings.wake,
  );
  return due.flatMap(({ endpoint, macs, relay }) =>
    relay === undefined
      ? []
      : [
          {
            container: name,
            endpoint,
            id: wakeId(name, nowMs),
            relay,
            macs: [...macs],
            sentMs: nowMs,
          },
        ],
  );
}

function nodeFrom(endpoint: EndpointId, presence: Parts["presence"]): WakeNode {
  const seen = presence.get(endpoint);
  if (seen === undefined) return { endpoint, site: undefined, seenMs: undefined, macs: [] };
  const { site, system } = seen;
  const seenMs = Math.max(seen.seenMs, presence.activeMs(endpoint));
  return { endpoint, site, seenMs, checkInMs: system?.checkInMs, macs: system?.macs ?? [] };
}

function wakeId(container: string, nowMs: number): string {
  return createHash("sha256").update(`${container}/${nowMs}`).digest("hex").slice(0, 32);
}
