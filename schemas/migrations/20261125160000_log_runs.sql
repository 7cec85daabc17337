-- migrate:up

-- Commands that read the log again beside the workers: what was asked, and how far they are. The same command goes on
-- with an open run. Workers know nothing of these tables.
CREATE TABLE log_run (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('replay', 'rebuild', 'roll-back')),
  asked TEXT NOT NULL,                    -- the request, in one form
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'dropped')),
  about JSONB NOT NULL DEFAULT '{}',      -- of a rebuild: what it starts from, and what its swap changed
  events BIGINT NOT NULL DEFAULT 0,       -- read and applied, or found applied
  changed BIGINT NOT NULL DEFAULT 0,      -- records whose state moved
  letters BIGINT NOT NULL DEFAULT 0,      -- records that could not be used
  seconds DOUBLE PRECISION NOT NULL DEFAULT 0,
  started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX log_run_open ON log_run (kind, asked) WHERE state = 'open';

CREATE TABLE log_run_position (
  run_id BIGINT NOT NULL REFERENCES log_run ON DELETE CASCADE,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  begin_offset BIGINT NOT NULL,
  next_offset BIGINT NOT NULL,            -- of a rebuild that is done: where the old generation stood at the swap
  end_offset BIGINT NOT NULL,
  last_offset BIGINT,                     -- as in projection_offset, of the last record read
  last_timestamp_ms BIGINT,
  last_key_hash BIGINT,
  PRIMARY KEY (run_id, topic, partition)
);

-- The old generation: what a swap replaced, as it was. NULL payload or row: it was not there. The rest is as in the new.
CREATE TABLE past_record (
  run_id BIGINT NOT NULL REFERENCES log_run ON DELETE CASCADE,
  object TEXT NOT NULL,
  record_id TEXT NOT NULL,
  payload JSONB,
  base TEXT COLLATE "C",
  newer JSONB,
  dirty TEXT COLLATE "C",
  claim TEXT,
  PRIMARY KEY (run_id, object, record_id)
);
CREATE TABLE past_status (
  run_id BIGINT NOT NULL REFERENCES log_run ON DELETE CASCADE,
  order_id TEXT NOT NULL,
  status JSONB NOT NULL,                  -- the row of sf_order_status
  PRIMARY KEY (run_id, order_id)
);

-- Where a second generation is filled, beside the live tables and under their names.
CREATE SCHEMA umbra_next;

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_reader') THEN
    GRANT SELECT ON log_run, log_run_position TO umbra_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_projector') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON log_run, log_run_position, past_record, past_status TO umbra_projector;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO umbra_projector;
    GRANT USAGE, CREATE ON SCHEMA umbra_next TO umbra_projector;
  END IF;
END
$$;

-- migrate:down

DROP SCHEMA umbra_next CASCADE;
DROP TABLE past_status, past_record, log_run_position, log_run;
