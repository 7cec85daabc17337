-- name: generation_statuses: what order.status.v1 may no longer hold
INSERT INTO umbra_next.sf_order_status SELECT * FROM public.sf_order_status;

-- name: generation_records: the live state of some objects
INSERT INTO umbra_next.sf_record SELECT * FROM public.sf_record WHERE object = ANY ($1::text[]);

-- name: generation_hidden: what is hidden of some objects
INSERT INTO umbra_next.sf_hidden SELECT * FROM public.sf_hidden WHERE object = ANY ($1::text[]);

-- name: generation_products: all shown products
INSERT INTO umbra_next.sf_product_shadow SELECT * FROM public.sf_product_shadow;

-- name: generation_entries: all shown price entries
INSERT INTO umbra_next.sf_pricebook_shadow SELECT * FROM public.sf_pricebook_shadow;

-- name: generation_accounts: all shown accounts
INSERT INTO umbra_next.sf_account_eligibility_shadow SELECT * FROM public.sf_account_eligibility_shadow;

-- name: generation_orders: all shown orders
INSERT INTO umbra_next.sf_order_shadow SELECT * FROM public.sf_order_shadow;

-- name: unproven: living records of the new generation, written since $4, of which nothing at or after a version is known
SELECT record_id
FROM umbra_next.sf_record
WHERE object = $1 AND record_id > $2 AND changed_at >= $4 AND payload->'IsDeleted' IS DISTINCT FROM 'true'
  AND greatest(base, dirty, (SELECT max(value COLLATE "C") FROM jsonb_each_text(newer))) COLLATE "C" < $3
ORDER BY record_id LIMIT 500;

-- name: differing_records: states that differ; of records that neither generation shows as living none does
SELECT object, record_id AS id,
  CASE WHEN n.payload IS NULL THEN 'goes' WHEN l.payload IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  array_remove(ARRAY[
    CASE WHEN l.payload IS DISTINCT FROM n.payload THEN 'payload' END,
    CASE WHEN l.base IS DISTINCT FROM n.base THEN 'base' END,
    CASE WHEN l.newer IS DISTINCT FROM n.newer THEN 'newer' END,
    CASE WHEN l.claim IS DISTINCT FROM n.claim THEN 'claim' END
  ], NULL) AS columns
FROM (SELECT object, record_id, payload, base, newer, claim, CASE WHEN dirty > coalesce(base, '') THEN dirty END AS mark
      FROM public.sf_record WHERE object = ANY ($1::text[])) l
FULL JOIN (SELECT object, record_id, payload, base, newer, claim, CASE WHEN dirty > coalesce(base, '') THEN dirty END AS mark
      FROM umbra_next.sf_record WHERE object = ANY ($1::text[])) n USING (object, record_id)
WHERE (l.payload, l.base, l.newer, l.claim, l.mark) IS DISTINCT FROM (n.payload, n.base, n.newer, n.claim, n.mark)
  AND NOT (coalesce(l.payload->'IsDeleted' = 'true', l.payload IS NULL)
    AND coalesce(n.payload->'IsDeleted' = 'true', n.payload IS NULL));

-- name: differing_hidden: records that are hidden in one generation only, or for another reason
SELECT object, record_id AS id,
  CASE WHEN n.reason IS NULL THEN 'goes' WHEN l.reason IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  ARRAY['reason'] AS columns
FROM (SELECT object, record_id, reason, detail FROM public.sf_hidden WHERE object = ANY ($1::text[])) l
FULL JOIN (SELECT object, record_id, reason, detail FROM umbra_next.sf_hidden WHERE object = ANY ($1::text[])) n
  USING (object, record_id)
WHERE (l.reason, l.detail) IS DISTINCT FROM (n.reason, n.detail);

-- name: differing_products: products whose rows differ
SELECT product_id AS id, CASE WHEN n.product_id IS NULL THEN 'goes' WHEN l.product_id IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  array_remove(ARRAY[
    CASE WHEN l.sku IS DISTINCT FROM n.sku THEN 'sku' END,
    CASE WHEN l.name IS DISTINCT FROM n.name THEN 'name' END,
    CASE WHEN l.item_class IS DISTINCT FROM n.item_class THEN 'item_class' END,
    CASE WHEN l.offering_type IS DISTINCT FROM n.offering_type THEN 'offering_type' END,
    CASE WHEN l.plan_tier IS DISTINCT FROM n.plan_tier THEN 'plan_tier' END,
    CASE WHEN l.vpn_region IS DISTINCT FROM n.vpn_region THEN 'vpn_region' END,
    CASE WHEN l.updated_at IS DISTINCT FROM n.updated_at THEN 'updated_at' END,
    CASE WHEN l.raw_payload IS DISTINCT FROM n.raw_payload THEN 'raw_payload' END
  ], NULL) AS columns
FROM public.sf_product_shadow l FULL JOIN umbra_next.sf_product_shadow n USING (product_id)
WHERE (l.sku, l.name, l.item_class, l.offering_type, l.plan_tier, l.vpn_region, l.updated_at, l.raw_payload)
  IS DISTINCT FROM (n.sku, n.name, n.item_class, n.offering_type, n.plan_tier, n.vpn_region, n.updated_at, n.raw_payload);

-- name: differing_entries: price entries whose rows differ
SELECT pricebook_entry_id AS id, CASE WHEN n.pricebook_entry_id IS NULL THEN 'goes' WHEN l.pricebook_entry_id IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  array_remove(ARRAY[
    CASE WHEN l.product_id IS DISTINCT FROM n.product_id THEN 'product_id' END,
    CASE WHEN l.pricebook_id IS DISTINCT FROM n.pricebook_id THEN 'pricebook_id' END,
    CASE WHEN l.unit_price IS DISTINCT FROM n.unit_price THEN 'unit_price' END,
    CASE WHEN l.currency_iso_code IS DISTINCT FROM n.currency_iso_code THEN 'currency_iso_code' END,
    CASE WHEN l.is_active IS DISTINCT FROM n.is_active THEN 'is_active' END,
    CASE WHEN l.updated_at IS DISTINCT FROM n.updated_at THEN 'updated_at' END,
    CASE WHEN l.raw_payload IS DISTINCT FROM n.raw_payload THEN 'raw_payload' END
  ], NULL) AS columns
FROM public.sf_pricebook_shadow l FULL JOIN umbra_next.sf_pricebook_shadow n USING (pricebook_entry_id)
WHERE (l.product_id, l.pricebook_id, l.unit_price, l.currency_iso_code, l.is_active, l.updated_at, l.raw_payload)
  IS DISTINCT FROM (n.product_id, n.pricebook_id, n.unit_price, n.currency_iso_code, n.is_active, n.updated_at, n.raw_payload);

-- name: differing_accounts: accounts whose rows differ
SELECT account_id AS id, CASE WHEN n.account_id IS NULL THEN 'goes' WHEN l.account_id IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  array_remove(ARRAY[
    CASE WHEN l.internet_eligibility IS DISTINCT FROM n.internet_eligibility THEN 'internet_eligibility' END,
    CASE WHEN l.eligibility_source IS DISTINCT FROM n.eligibility_source THEN 'eligibility_source' END,
    CASE WHEN l.updated_at IS DISTINCT FROM n.updated_at THEN 'updated_at' END,
    CASE WHEN l.raw_payload IS DISTINCT FROM n.raw_payload THEN 'raw_payload' END
  ], NULL) AS columns
FROM public.sf_account_eligibility_shadow l FULL JOIN umbra_next.sf_account_eligibility_shadow n USING (account_id)
WHERE (l.internet_eligibility, l.eligibility_source, l.updated_at, l.raw_payload)
  IS DISTINCT FROM (n.internet_eligibility, n.eligibility_source, n.updated_at, n.raw_payload);

-- name: differing_orders: orders whose rows differ
SELECT order_id AS id, CASE WHEN n.order_id IS NULL THEN 'goes' WHEN l.order_id IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  array_remove(ARRAY[
    CASE WHEN l.account_id IS DISTINCT FROM n.account_id THEN 'account_id' END,
    CASE WHEN l.order_number IS DISTINCT FROM n.order_number THEN 'order_number' END,
    CASE WHEN l.effective_date IS DISTINCT FROM n.effective_date THEN 'effective_date' END,
    CASE WHEN l.total_amount IS DISTINCT FROM n.total_amount THEN 'total_amount' END,
    CASE WHEN l.currency_iso_code IS DISTINCT FROM n.currency_iso_code THEN 'currency_iso_code' END,
    CASE WHEN l.created_date IS DISTINCT FROM n.created_date THEN 'created_date' END,
    CASE WHEN l.status IS DISTINCT FROM n.status THEN 'status' END,
    CASE WHEN l.status_reason IS DISTINCT FROM n.status_reason THEN 'status_reason' END,
    CASE WHEN l.status_version IS DISTINCT FROM n.status_version THEN 'status_version' END,
    CASE WHEN l.updated_at IS DISTINCT FROM n.updated_at THEN 'updated_at' END,
    CASE WHEN l.raw_payload IS DISTINCT FROM n.raw_payload THEN 'raw_payload' END
  ], NULL) AS columns
FROM public.sf_order_shadow l FULL JOIN umbra_next.sf_order_shadow n USING (order_id)
WHERE (l.account_id, l.order_number, l.effective_date, l.total_amount, l.currency_iso_code, l.created_date, l.status, l.status_reason, l.status_version, l.updated_at, l.raw_payload)
  IS DISTINCT FROM (n.account_id, n.order_number, n.effective_date, n.total_amount, n.currency_iso_code, n.created_date, n.status, n.status_reason, n.status_version, n.updated_at, n.raw_payload);

-- name: differing_statuses: statuses that differ
SELECT order_id AS id, CASE WHEN n.order_id IS NULL THEN 'goes' WHEN l.order_id IS NULL THEN 'comes' ELSE 'changes' END AS kind,
  array_remove(ARRAY[
    CASE WHEN l.version IS DISTINCT FROM n.version THEN 'version' END,
    CASE WHEN l.status IS DISTINCT FROM n.status THEN 'status' END,
    CASE WHEN l.reason IS DISTINCT FROM n.reason THEN 'reason' END,
    CASE WHEN l.message IS DISTINCT FROM n.message THEN 'message' END,
    CASE WHEN l.terminal IS DISTINCT FROM n.terminal THEN 'terminal' END,
    CASE WHEN l.source IS DISTINCT FROM n.source THEN 'source' END,
    CASE WHEN l.account_id IS DISTINCT FROM n.account_id THEN 'account_id' END,
    CASE WHEN l.event_id IS DISTINCT FROM n.event_id THEN 'event_id' END,
    CASE WHEN l.occurred_at IS DISTINCT FROM n.occurred_at THEN 'occurred_at' END,
    CASE WHEN l.seen IS DISTINCT FROM n.seen THEN 'seen' END
  ], NULL) AS columns
FROM public.sf_order_status l FULL JOIN umbra_next.sf_order_status n USING (order_id)
WHERE (l.version, l.status, l.reason, l.message, l.terminal, l.source, l.account_id, l.event_id, l.occurred_at, l.seen)
  IS DISTINCT FROM (n.version, n.status, n.reason, n.message, n.terminal, n.source, n.account_id, n.event_id, n.occurred_at, n.seen);

-- name: past_forget: of the generations before the last one
DELETE FROM public.log_run r USING public.log_run mine
WHERE mine.id = $1 AND r.asked = mine.asked AND r.kind IN ('rebuild', 'roll-back') AND r.id <> mine.id
  AND r.state <> 'open';

-- name: past_records: what a swap is about to replace
INSERT INTO public.past_record (run_id, object, record_id, payload, base, newer, dirty, claim)
SELECT $1, d.object, d.record_id, r.payload, r.base, r.newer, r.dirty, r.claim
FROM unnest($2::text[], $3::text[]) AS d (object, record_id) LEFT JOIN public.sf_record r USING (object, record_id);

-- name: past_statuses: what a swap is about to replace
INSERT INTO public.past_status (run_id, order_id, status)
SELECT $1, s.order_id, to_jsonb(s) FROM public.sf_order_status s WHERE s.order_id = ANY ($2::text[]);

-- name: swap_out_records: of some records those that the new generation does not have
DELETE FROM public.sf_record r USING unnest($1::text[], $2::text[]) AS d (object, record_id)
WHERE r.object = d.object AND r.record_id = d.record_id
  AND NOT EXISTS (SELECT FROM umbra_next.sf_record n WHERE n.object = d.object AND n.record_id = d.record_id);

-- name: swap_in_records: the new generation's states of some records
INSERT INTO public.sf_record AS r (object, record_id, payload, base, newer, dirty, claim)
SELECT n.object, n.record_id, n.payload, n.base, n.newer, n.dirty, n.claim FROM umbra_next.sf_record n
JOIN unnest($1::text[], $2::text[]) AS d (object, record_id) USING (object, record_id)
ORDER BY n.object, n.record_id
ON CONFLICT (object, record_id) DO UPDATE SET
  payload = EXCLUDED.payload, base = EXCLUDED.base, newer = EXCLUDED.newer,
  dirty = EXCLUDED.dirty, claim = EXCLUDED.claim, changed_at = now();

-- name: swap_statuses: the new generation's, which has all that the live one has
INSERT INTO public.sf_order_status AS s
  (order_id, version, status, reason, message, terminal, source, account_id, event_id, occurred_at, seen)
SELECT n.order_id, n.version, n.status, n.reason, n.message, n.terminal, n.source, n.account_id, n.event_id,
  n.occurred_at, n.seen
FROM umbra_next.sf_order_status n WHERE n.order_id = ANY ($1::text[]) ORDER BY n.order_id
ON CONFLICT (order_id) DO UPDATE SET
  version = EXCLUDED.version, status = EXCLUDED.status, reason = EXCLUDED.reason, message = EXCLUDED.message,
  terminal = EXCLUDED.terminal, source = EXCLUDED.source, account_id = EXCLUDED.account_id,
  event_id = EXCLUDED.event_id, occurred_at = EXCLUDED.occurred_at, seen = EXCLUDED.seen, changed_at = now();

-- name: swap_offsets: where the new generation stands, in partitions in which no worker could go on
INSERT INTO public.projection_offset AS o
  (topic, partition, epoch, next_offset, last_offset, last_timestamp_ms, last_key_hash)
SELECT p.topic, p.partition, p.epoch, p.next_offset, p.last_offset, p.last_timestamp_ms, p.last_key_hash
FROM public.log_run_position p JOIN unnest($2::text[], $3::integer[]) AS d (topic, partition) USING (topic, partition)
WHERE p.run_id = $1
ON CONFLICT (topic, partition) DO UPDATE SET
  epoch = EXCLUDED.epoch, next_offset = EXCLUDED.next_offset, last_offset = EXCLUDED.last_offset,
  last_timestamp_ms = EXCLUDED.last_timestamp_ms, last_key_hash = EXCLUDED.last_key_hash, changed_at = now();

-- name: past_read: the old generation's states of what a swap replaced, a page by id
SELECT object, record_id FROM public.past_record
WHERE run_id = $1 AND (object, record_id) > ($2, $3) ORDER BY object, record_id LIMIT 500;

-- name: past_orders: orders whose statuses a swap replaced
SELECT order_id FROM public.past_status WHERE run_id = $1;

-- name: past_out_records: to be replaced by the old generation's
DELETE FROM umbra_next.sf_record n USING public.past_record p
WHERE p.run_id = $1 AND n.object = p.object AND n.record_id = p.record_id;

-- name: past_in_records: the old generation's
INSERT INTO umbra_next.sf_record (object, record_id, payload, base, newer, dirty, claim)
SELECT object, record_id, payload, base, newer, dirty, claim FROM public.past_record
WHERE run_id = $1 AND payload IS NOT NULL;

-- name: past_out_statuses: to be replaced by the old generation's
DELETE FROM umbra_next.sf_order_status n USING public.past_status p WHERE p.run_id = $1 AND n.order_id = p.order_id;

-- name: past_in_statuses: the old generation's
INSERT INTO umbra_next.sf_order_status
SELECT s.* FROM public.past_status p, jsonb_populate_record(NULL::umbra_next.sf_order_status, p.status) s
WHERE p.run_id = $1;
