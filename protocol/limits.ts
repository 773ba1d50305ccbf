/**
 * Every bound of the protocol, with unit and reason. Nothing from outside is read without one.
 */

/** One check-in request; facts, versions and counters fit in 4 KiB, the rest is headroom (trust P1). */
export const CHECK_IN_REQUEST_MAX_BYTES = 64 * 1024;
/** One check-in answer: a catalog bundle for a first contact is about 40 KB (trust 2.6, P1). */
export const CHECK_IN_ANSWER_MAX_BYTES = 1024 * 1024;
/** What a node says at most of the time between two of its check-ins: longer ones are told as a day. */
export const CHECK_IN_PERIOD_MAX_MS = 24 * 3_600_000;
/** A manifest; file lists live in pages, so it stays far below (trust 2.4). */
export const MANIFEST_MAX_BYTES = 1024 * 1024;
/** TUF metadata by role (trust M13). */
export const TUF_ROOT_MAX_BYTES = 64 * 1024;
export const TUF_TIMESTAMP_MAX_BYTES = 16 * 1024;
export const TUF_SNAPSHOT_MAX_BYTES = 256 * 1024;
export const TUF_TARGETS_MAX_BYTES = 256 * 1024;
/** The verifier's cost grows with the square of the list lengths (trust M14). */
export const TUF_TARGETS_MAX_COUNT = 500;
export const TUF_ROLES_MAX_COUNT = 300;
/** A larger step is a fast-forward attack (trust M12). */
export const TUF_VERSION_MAX_STEP = 1_000_000;
/** JSON deeper than this is refused before it is parsed (trust P6). */
export const JSON_MAX_DEPTH = 16;

/** Hash bins of the catalog: 2^8 bins of at most 500 targets hold 128,000 versions (trust 2.2). */
export const CATALOG_BIN_BITS = 8;

/** FastCDC bounds below and from LARGE_PACKAGE_BYTES up (distribution 4.3). */
export const FRAGMENT_MIN_BYTES = 64 * 1024;
export const FRAGMENT_AVERAGE_BYTES = 256 * 1024;
export const FRAGMENT_MAX_BYTES = 1024 * 1024;
export const LARGE_PACKAGE_BYTES = 4_000_000_000;
export const LARGE_FRAGMENT_SCALE = 4;
/** No fragment of any package exceeds this on the wire or unpacked (lengths are 24 bits in the index). */
export const FRAGMENT_WIRE_MAX_BYTES = 4 * 1024 * 1024;
/** Files below this are bundled (distribution 4.3). */
export const SMALL_FILE_BYTES = 64 * 1024;
export const BUNDLE_MIN_BYTES = 128 * 1024;
export const BUNDLE_MAX_BYTES = 512 * 1024;
/** Entries on one page of the fragment index: 1,024 x 54 bytes = 55 KB (distribution 4.3). */
export const FRAGMENTS_PER_PAGE = 1024;
/** Files on one page of the file list. */
export const FILES_PER_PAGE = 1024;
/** Unpacked size bound of one file-list page: 1,024 entries of at most 200 + 1,800 bytes. */
export const FILE_PAGE_MAX_BYTES = 2 * 1024 * 1024;
/** Whole package (trust 4.1 rule 4). */
export const PACKAGE_MAX_FILES = 100_000;
export const PACKAGE_MAX_BYTES = 64 * 1024 ** 3;

/** Package paths (trust 4.1 rule 1). */
export const PATH_MAX_BYTES = 200;
export const PATH_SEGMENT_MAX_BYTES = 120;
export const PATH_MAX_SEGMENTS = 32;

/** Run-time limit of a command unless the manifest says otherwise: the 120 min of OCS. */
export const COMMAND_TIMEOUT_DEFAULT_SEC = 7200;
/** Kept output of one command (trust X15). */
export const COMMAND_OUTPUT_MAX_BYTES = 1024 * 1024;
/** Tries of one package on one endpoint per desired revision (SE-21). */
export const ATTEMPT_LIMIT_DEFAULT = 3;
/** Finished job containers are shown for so long, then removed (OCO-38). */
export const CONTAINER_SUCCEEDED_KEPT_MS = 4 * 3_600_000;
export const CONTAINER_FAILED_KEPT_MS = 2 * 86_400_000;
/** What a logged-in user has before a restart (OCO-14). */
export const RESTART_TIMEOUT_DEFAULT_MIN = 20;
/** OCS-24. */
export const PACKAGE_LEVEL_DEFAULT = 5;

/** Extents of one file: 32,768 pairs of 11 digits fit a file page (FILE_PAGE_MAX_BYTES). */
export const FILE_EXTENTS_MAX_COUNT = 32_768;
/** Older versions that one package has patches for. */
export const DELTA_SETS_MAX_COUNT = 4;
/** Pages of one kind in one set of patches: 128 x 1,024 fragments of 256 KiB are 32 GiB of patches. */
export const DELTA_PAGES_MAX_COUNT = 128;
/** Old bytes of one patch, and new ones: both lie in memory while it is made (distribution 4.3). */
export const DELTA_FILE_MAX_BYTES = 256 * 1024 ** 2;
/** Patches on one page of the delta list. */
export const DELTAS_PER_PAGE = 1024;
/** Files that one patch covers on either side: small files share one. */
export const DELTA_FILES_MAX_COUNT = 4096;
/** A patch counts only where it saves at least this share of the bytes (distribution 4.3). */
export const DELTA_SAVING_MIN = 0.3;
/** Unpacked : packed beyond which an archive is a bomb, once this much was unpacked. */
export const ARCHIVE_RATIO_MAX = 1000;
export const ARCHIVE_RATIO_FREE_BYTES = 64 * 1024 ** 2;
/** A tar extension header (PAX record list or GNU long name) holds a path and little else. */
export const TAR_EXTENSION_MAX_BYTES = 64 * 1024;

/** One record of the coordinator's store; a catalog bin of 500 targets is the largest (256 KB). */
export const STORE_VALUE_MAX_BYTES = 1024 * 1024;
/** One store key: readable, `endpoint/<id>`. */
export const STORE_KEY_MAX_BYTES = 1024;
/** A publisher's request: the manifest as text inside JSON, and its bin. */
export const PACKAGE_REQUEST_MAX_BYTES = 3 * 1024 * 1024;
/** A renewed catalog: 256 bins, most of them far below their bound of 256 KB. */
export const RENEWAL_REQUEST_MAX_BYTES = 64 * 1024 * 1024;
/** A batch of 64 reports of at most 20 KB in base64 (trust P1). */
export const REPORT_BATCH_MAX_BYTES = 2 * 1024 * 1024;
/** One report: a scan of 2,000 entries of at most 330 bytes is the largest. */
export const REPORT_MAX_BYTES = 700 * 1024;
/** Any other request of an operator or node; 4,096 digests are 280 KB. */
export const API_REQUEST_MAX_BYTES = 512 * 1024;
/** Intent of operators: a static group of 100,000 names is 6.5 MB. */
export const INTENT_REQUEST_MAX_BYTES = 16 * 1024 * 1024;
/** Packages that one directive has something done with: about 600 bytes each. */
export const DIRECTIVE_PACKAGES_MAX_COUNT = 200;
/** All packages of one directive: those that are only held take about 420 bytes (TUF_TARGETS_MAX_BYTES). */
export const DIRECTIVE_TARGETS_MAX_COUNT = 400;
