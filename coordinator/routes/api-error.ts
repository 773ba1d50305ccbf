/**
 * Errors at the door: one body for all of them, one table from code to HTTP status.
 */
import { DeployError, type ErrorCode } from "../../protocol/errors.ts";
import type { ApiError } from "../../protocol/operator-api.ts";

const STATUS: Partial<Record<ErrorCode, number>> = {
  INPUT_INVALID: 400,
  DOCUMENT_INVALID: 400,
  FRAGMENT_MISMATCH: 400,
  SIGNATURE_INVALID: 401,
  AUTH_REFUSED: 401,
  JOIN_REFUSED: 403,
  ACCESS_REFUSED: 403,
  NOT_FOUND: 404,
  CHECK_IN_REPLAYED: 409,
  FRAGMENTS_MISSING: 409,
  CATALOG_VERSION_TAKEN: 409,
  PUBLISH_CONFLICT: 409,
  STORE_CONFLICT: 409,
  INTENT_LOOP: 409,
  INTENT_IN_USE: 409,
  TENANT_MISMATCH: 409,
  PACKAGE_IN_USE: 409,
  DEPENDENCY_RESTARTS: 409,
  DOCUMENT_TOO_LARGE: 413,
  TOO_MANY_REQUESTS: 429,
  COORDINATOR_BUSY: 503,
  STORE_FAILED: 503,
  STORE_DAMAGED: 500,
  COORDINATOR_FAULT: 500,
};

/** Codes that are not in the table are refusals of what the caller sent (the signing rooms' codes). */
export function statusOf({ code }: DeployError): number {
  return STATUS[code] ?? 400;
}

export function apiError(error: DeployError, requestId: string): ApiError {
  return { code: error.code, message: error.message, hint: error.hint, requestId };
}

/** Whatever was thrown, as one of our errors. */
export function deployErrorOf(thrown: unknown, requestId: string): DeployError {
  if (thrown instanceof DeployError) return thrown;
  const status = numberField(thrown, "statusCode");
  const problem = thrown instanceof Error ? thrown.message : String(thrown);
  const cause = { cause: thrown };
  if (status === 413) {
    return new DeployError(
      "DOCUMENT_TOO_LARGE",
      { what: "the request", limitBytes: "the allowed" },
      cause,
    );
  }
  if (status === 503) return new DeployError("COORDINATOR_BUSY", {}, cause);
  if (status !== undefined && status < 500) {
    return new DeployError("DOCUMENT_INVALID", { what: "the request", problem }, cause);
  }
  return new DeployError("COORDINATOR_FAULT", { requestId }, cause);
}

function numberField(value: unknown, name: string): number | undefined {
  if (typeof value !== "object" || value === null || !(name in value)) return undefined;
  const found: unknown = Reflect.get(value, name);
  return typeof found === "number" ? found : undefined;
}
