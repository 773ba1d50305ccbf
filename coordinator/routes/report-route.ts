/**
 * Reports of endpoints: checked one by one, stored once by (endpoint, id). A report that came late never
 * undoes a newer one.
 */
import { ed25519PublicKey, openStatement, type Envelope } from "../../protocol/dsse.ts";
import { DeployError } from "../../protocol/errors.ts";
import { publicKeyOf, type EndpointId } from "../../protocol/ids.ts";
import { REPORT_BATCH_MAX_BYTES, REPORT_MAX_BYTES } from "../../protocol/limits.ts";
import {
  parseReport,
  ReportAnswerSchema,
  ReportBatchSchema,
  type JobReport,
  type RefusalReport,
  type Report,
  type RunReport,
  type ScanReport,
} from "../../protocol/report.ts";
import { setRecord, type RecordChange } from "../store/records.ts";
import { TABLES } from "../store/tables.ts";
import { callerOf, type App } from "./app-type.ts";
import type { Parts } from "./parts.ts";
import { chargesBy, isProven } from "./proofs.ts";
import { effectsOf } from "./report-effects.ts";
import { stepRollouts } from "./rollouts.ts";

const REFUSALS_KEPT = 50;
const RUNS_KEPT = 20;

export function addReportRoute(app: App, parts: Parts): void {
  app.post(
    "/v1/reports",
    {
      config: { caller: "endpoint" },
      bodyLimit: REPORT_BATCH_MAX_BYTES,
      schema: { body: ReportBatchSchema, response: { 200: ReportAnswerSchema } },
    },
    async (request) => {
      const endpoint = callerOf(request);
      const reports = request.body.reports.map((envelope) => openReport(endpoint, envelope));
      // One after the other: two reports of one job in a batch must see each other.
      for (const report of reports) {
        await storeReport(parts, report, await isProven(parts, report));
      }
      if (reports.some(({ kind }) => kind === "job")) await stepRollouts(parts, true);
      return { stored: reports.map(({ id }) => id) };
    },
  );
}

function openReport(endpoint: EndpointId, envelope: Envelope): Report {
  const key = ed25519PublicKey(publicKeyOf(endpoint));
  const report = openStatement("report", envelope, key, parseReport, REPORT_MAX_BYTES);
  if (report.endpoint !== endpoint)
    throw new DeployError("ACCESS_REFUSED", { what: "this report" });
  return report;
}

async function storeReport(parts: Parts, report: Report, isConvicting: boolean): Promise<void> {
  const { records, now } = parts;
  const key = `${report.endpoint}/${report.id}`;
  await records.change(() => {
    if (records.get(TABLES.reports, key) !== undefined) return { changes: [], result: undefined };
    const seen = setRecord(TABLES.reports, key, { atMs: now() });
    return { changes: [seen, ...changesOf(report)], result: undefined };
  });

  function changesOf(one: Report): readonly RecordChange[] {
    switch (one.kind) {
      case "job":
        return jobChange(one);
      case "refusal":
        return refusalChange(one);
      case "scan":
        return scanChange(one);
      case "run":
        return runChange(one);
      default:
        return one satisfies never;
    }
  }

  function scanChange(scan: ScanReport): readonly RecordChange[] {
    const known = records.get(TABLES.scans, scan.endpoint);
    const isNewer = known === undefined || scan.atMs > known.atMs;
    return isNewer ? [setRecord(TABLES.scans, scan.endpoint, scan)] : [];
  }

  function runChange(run: RunReport): readonly RecordChange[] {
    const known = records.get(TABLES.runs, run.endpoint) ?? [];
    return [setRecord(TABLES.runs, run.endpoint, [...known, run].slice(-RUNS_KEPT))];
  }

  function jobChange(job: JobReport): readonly RecordChange[] {
    const id = `${job.endpoint}/${job.job}`;
    const known = records.get(TABLES.jobs, id);
    const isNewer = known === undefined || job.order > known.order;
    return isNewer ? [setRecord(TABLES.jobs, id, job), ...effectsOf(parts, job)] : [];
  }

  function refusalChange(refusal: RefusalReport): readonly RecordChange[] {
    const known = records.get(TABLES.refusals, refusal.endpoint) ?? [];
    const kept = [...known, refusal].slice(-REFUSALS_KEPT);
    const stored = setRecord(TABLES.refusals, refusal.endpoint, kept);
    return [stored, ...chargesBy(parts, refusal, isConvicting)];
  }
}
