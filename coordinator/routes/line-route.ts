/**
 * POST /v1/line: round trips of a site's line, measured by its nodes while packages cross it. The coordinator
 * keeps each request for the time between two measurements and says how long, so one small exchange carries
 * the last result up and makes the next one.
 */
import { setTimeout as pause } from "node:timers/promises";
import { LineAnswerSchema, LineSampleSchema } from "../../protocol/traffic.ts";
import { callerOf, type App } from "./app-type.ts";
import type { Parts } from "./parts.ts";
import { gateSite } from "./planning.ts";

/** A line that needs no measuring now: the node asks once more before it gives up. */
const RESTING_MS = 1000;

export function addLineRoute(app: App, parts: Parts): void {
  app.post(
    "/v1/line",
    {
      config: { caller: "endpoint" },
      schema: { body: LineSampleSchema, response: { 200: LineAnswerSchema } },
    },
    async (request) => {
      const startMs = performance.now();
      const endpoint = callerOf(request);
      const site = gateSite(parts, endpoint);
      const { rttMs } = request.body;
      if (rttMs !== undefined) parts.lines.sample(site, endpoint, rttMs);
      await pause(parts.lines.probeEveryMs(site, endpoint) ?? RESTING_MS, undefined, {
        ref: false,
      });
      return { heldMs: performance.now() - startMs };
    },
  );
}
