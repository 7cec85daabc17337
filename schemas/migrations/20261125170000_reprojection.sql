-- migrate:up

-- Where `umbra reproject` stands, written in the transaction of each slice; gone once an object is done.
CREATE TABLE reprojection (
  object TEXT PRIMARY KEY,
  mapping TEXT NOT NULL,                 -- digest of the mapping it projects by: another one begins anew
  after_id TEXT NOT NULL,                -- all ids up to this one are done
  records BIGINT NOT NULL,
  began_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Deleted records by the time of their last change: those that nothing can bring back any more are forgotten.
CREATE INDEX sf_record_tombstone ON sf_record (object, changed_at) WHERE payload->'IsDeleted' = 'true';

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_reader') THEN
    GRANT SELECT ON reprojection TO umbra_reader;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'umbra_projector') THEN
    GRANT SELECT, INSERT, UPDATE, DELETE ON reprojection TO umbra_projector;
  END IF;
END
$$;

-- migrate:down

DROP INDEX sf_record_tombstone;
DROP TABLE reprojection;
