-- migrate:up

-- The three tables of the shadow sync plan, under exactly its names and columns.
CREATE TABLE sf_product_shadow (
  product_id TEXT PRIMARY KEY,
  sku TEXT UNIQUE NOT NULL,
  name TEXT NOT NULL,
  item_class TEXT,
  offering_type TEXT,
  plan_tier TEXT,
  vpn_region TEXT,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  raw_payload JSONB NOT NULL
);

CREATE TABLE sf_pricebook_shadow (
  pricebook_entry_id TEXT PRIMARY KEY,
  product_id TEXT NOT NULL REFERENCES sf_product_shadow(product_id) ON DELETE CASCADE,
  pricebook_id TEXT NOT NULL,
  unit_price NUMERIC(12,2) NOT NULL,
  currency_iso_code TEXT NOT NULL,
  is_active BOOLEAN NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  raw_payload JSONB NOT NULL
);

CREATE TABLE sf_account_eligibility_shadow (
  account_id TEXT PRIMARY KEY,
  internet_eligibility TEXT,
  eligibility_source TEXT,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  raw_payload JSONB NOT NULL
);

CREATE INDEX sf_product_shadow_item_class ON sf_product_shadow (item_class);
CREATE INDEX sf_pricebook_shadow_product ON sf_pricebook_shadow (product_id);
-- MAX(now() - updated_at) per table is scraped every few seconds.
CREATE INDEX sf_product_shadow_updated ON sf_product_shadow (updated_at);
CREATE INDEX sf_pricebook_shadow_updated ON sf_pricebook_shadow (updated_at);
CREATE INDEX sf_account_eligibility_shadow_updated ON sf_account_eligibility_shadow (updated_at);

CREATE TABLE sf_order_shadow (
  order_id TEXT PRIMARY KEY,
  account_id TEXT,
  order_number TEXT,
  effective_date DATE,
  total_amount NUMERIC(18,2),
  currency_iso_code TEXT,
  created_date TIMESTAMP WITH TIME ZONE,
  -- These come only from order.status.v1; an order without a status there shows Salesforce's own.
  status TEXT,
  status_reason TEXT,
  status_version TEXT COLLATE "C" NOT NULL,
  updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
  raw_payload JSONB NOT NULL
);
CREATE INDEX sf_order_shadow_account ON sf_order_shadow (account_id, created_date DESC);
CREATE INDEX sf_order_shadow_updated ON sf_order_shadow (updated_at);

-- The state of every record, tombstones included: all shadow rows are a function of it.
CREATE TABLE sf_record (
  object TEXT NOT NULL,
  record_id TEXT NOT NULL,
  payload JSONB NOT NULL,                -- newest known value of every field, IsDeleted included
  base TEXT COLLATE "C",                 -- version of the newest full read; NULL: none yet
  newer JSONB NOT NULL DEFAULT '{}',     -- {field: version} only where it differs from base
  dirty TEXT COLLATE "C",                -- greatest "changed, content unknown" mark
  claim TEXT,                            -- what the record competes for or hangs on: a product's SKU, an entry's product
  first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (object, record_id)
);
CREATE INDEX sf_record_claim ON sf_record (object, claim) WHERE claim IS NOT NULL;
CREATE INDEX sf_record_dirty ON sf_record (object, record_id) WHERE dirty IS NOT NULL;

-- The greatest status of each order from order.status.v1, also of orders whose record is not here yet.
CREATE TABLE sf_order_status (
  order_id TEXT PRIMARY KEY,
  version TEXT COLLATE "C" NOT NULL,
  status TEXT NOT NULL,
  reason TEXT,
  message TEXT,
  terminal BOOLEAN NOT NULL,
  source TEXT NOT NULL,
  account_id TEXT,
  event_id TEXT NOT NULL,
  occurred_at TIMESTAMPTZ NOT NULL,
  seen JSONB NOT NULL DEFAULT '{}',      -- {status: [newest version, newest version with a reason, that reason]}
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Kept and not shown, with the reason: written with the rows, a pure function of sf_record.
CREATE TABLE sf_hidden (
  object TEXT NOT NULL,
  record_id TEXT NOT NULL,
  reason TEXT NOT NULL,                  -- incomplete, sku_taken, product_hidden, price_out_of_range
  detail TEXT,                           -- missing fields, or the winner's id
  since TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (object, record_id)
);

CREATE TABLE projection_offset (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  next_offset BIGINT NOT NULL,
  last_offset BIGINT,                    -- of the last applied record: compared with the log at assignment,
  last_timestamp_ms BIGINT,              -- since a topic re-created by hand keeps its epoch
  last_key_hash BIGINT,
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition)
);

CREATE TABLE topic_epoch (
  topic TEXT PRIMARY KEY,
  epoch TEXT NOT NULL,
  partitions INTEGER NOT NULL,
  object TEXT,                           -- of a record topic
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE cache_outbox (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  next_offset BIGINT NOT NULL,
  tags TEXT[] NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX cache_outbox_place ON cache_outbox (topic, partition, next_offset);

-- Records that could not be used, each once, in the transaction that moved past them; their letters are in umbra.dlq.v1.
CREATE TABLE dead_letter (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  "offset" BIGINT NOT NULL,
  stage TEXT NOT NULL,
  reason TEXT NOT NULL,                  -- never a value of the record
  seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX dead_letter_seen ON dead_letter (seen_at);

CREATE TABLE object_coverage (
  object TEXT NOT NULL,
  partition INTEGER NOT NULL,
  basis TEXT NOT NULL CHECK (basis IN ('stream', 'delta', 'full')),
  covered_until TIMESTAMPTZ NOT NULL,
  job_id TEXT,
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (object, partition, basis)
);

-- A hole and the watermark that closes it may arrive in any order, so either makes the row.
CREATE TABLE coverage_hole (
  object TEXT NOT NULL,
  partition INTEGER NOT NULL,
  hole_id TEXT NOT NULL,
  hole_from TIMESTAMPTZ,                 -- NULL with opened: since ever
  hole_to TIMESTAMPTZ,
  reason TEXT,
  opened BOOLEAN NOT NULL DEFAULT false,
  closed_by TEXT,
  PRIMARY KEY (object, partition, hole_id)
);

-- Observed: where the stream is, once a full read has given it a floor, up to the oldest open hole.
-- Proven: what a delta or full read has shown. A partition without a row counts as never.
CREATE VIEW object_freshness AS
WITH parts AS (
  SELECT e.object, p.partition
  FROM topic_epoch e CROSS JOIN LATERAL generate_series(0, e.partitions - 1) AS p(partition)
  WHERE e.object IS NOT NULL
), per_part AS (
  SELECT parts.object, parts.partition,
    max(c.covered_until) AS any_until,
    max(c.covered_until) FILTER (WHERE c.basis IN ('delta', 'full')) AS proven,
    max(c.covered_until) FILTER (WHERE c.basis = 'full') AS full_read
  FROM parts LEFT JOIN object_coverage c USING (object, partition)
  GROUP BY parts.object, parts.partition
), holes AS (
  SELECT object, min(coalesce(hole_from, '-infinity'::timestamptz)) AS oldest, count(DISTINCT hole_id) AS holes
  FROM coverage_hole WHERE opened AND closed_by IS NULL GROUP BY object
), folded AS (
  SELECT object,
    CASE WHEN bool_and(full_read IS NOT NULL) THEN min(any_until) END AS observed,
    CASE WHEN bool_and(proven IS NOT NULL) THEN min(proven) END AS proven,
    CASE WHEN bool_and(full_read IS NOT NULL) THEN min(full_read) END AS full_read
  FROM per_part GROUP BY object
)
SELECT folded.object,
  CASE WHEN holes.oldest = '-infinity' THEN NULL
       ELSE least(folded.observed, holes.oldest) END AS observed_until,
  folded.proven AS proven_until,
  folded.full_read AS full_read_until,
  coalesce(holes.holes, 0) AS open_holes
FROM folded LEFT JOIN holes USING (object);

-- Kept and not shown, with reason and age.
CREATE VIEW record_not_shown AS
SELECT object, record_id, reason, detail, since, now() - since AS age FROM sf_hidden;

-- What the ingestor has to read again: dirty records, records incomplete for two minutes, open holes.
CREATE VIEW repair_due AS
SELECT object, record_id, 'dirty' AS reason, dirty AS mark, NULL::timestamptz AS hole_from, NULL::timestamptz AS hole_to
FROM sf_record
WHERE dirty IS NOT NULL AND (base IS NULL OR base < dirty)
  AND NOT (payload->'IsDeleted' = 'true' AND coalesce(newer->>'IsDeleted', base, '') COLLATE "C" > dirty)
UNION ALL
SELECT object, record_id, reason, NULL, NULL, NULL FROM sf_hidden
WHERE reason = 'incomplete' AND since < now() - interval '2 minutes'
UNION ALL
SELECT object, hole_id, 'hole', NULL, min(hole_from), max(hole_to) FROM coverage_hole
WHERE opened AND closed_by IS NULL GROUP BY object, hole_id;

-- Roles are made by whoever owns the cluster (umbra up, or the platform); a missing one is not an error here.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_reader') THEN
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO umbra_reader;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO umbra_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_projector') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO umbra_projector;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO umbra_projector;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO umbra_projector;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO umbra_projector;
  END IF;
END
$$;

-- migrate:down

DROP VIEW repair_due, record_not_shown, object_freshness;
DROP TABLE coverage_hole, object_coverage, dead_letter, cache_outbox, topic_epoch, projection_offset, sf_hidden,
  sf_order_status, sf_record, sf_order_shadow, sf_account_eligibility_shadow, sf_pricebook_shadow, sf_product_shadow;
