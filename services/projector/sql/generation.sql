-- name: generation_make: the tables of a second generation, empty, under the live ones' names
DROP TABLE IF EXISTS umbra_next.sf_record, umbra_next.sf_hidden, umbra_next.sf_order_status,
  umbra_next.sf_pricebook_shadow, umbra_next.sf_product_shadow, umbra_next.sf_account_eligibility_shadow,
  umbra_next.sf_order_shadow;
CREATE TABLE umbra_next.sf_record (LIKE public.sf_record INCLUDING ALL);
CREATE TABLE umbra_next.sf_hidden (LIKE public.sf_hidden INCLUDING ALL);
CREATE TABLE umbra_next.sf_order_status (LIKE public.sf_order_status INCLUDING ALL);
CREATE TABLE umbra_next.sf_product_shadow (LIKE public.sf_product_shadow INCLUDING ALL);
CREATE TABLE umbra_next.sf_pricebook_shadow (LIKE public.sf_pricebook_shadow INCLUDING ALL,
  FOREIGN KEY (product_id) REFERENCES umbra_next.sf_product_shadow ON DELETE CASCADE);
CREATE TABLE umbra_next.sf_account_eligibility_shadow (LIKE public.sf_account_eligibility_shadow INCLUDING ALL);
CREATE TABLE umbra_next.sf_order_shadow (LIKE public.sf_order_shadow INCLUDING ALL);

-- name: generation_drop: what is left of it
DROP TABLE IF EXISTS umbra_next.sf_record, umbra_next.sf_hidden, umbra_next.sf_order_status,
  umbra_next.sf_pricebook_shadow, umbra_next.sf_product_shadow, umbra_next.sf_account_eligibility_shadow,
  umbra_next.sf_order_shadow;
