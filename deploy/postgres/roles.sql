-- The roles that the first migration grants to: the projector writes, the others read.
-- These passwords are for a machine of your own; a deployment sets its own.
CREATE ROLE umbra_projector LOGIN PASSWORD 'projector';
CREATE ROLE umbra_reader LOGIN PASSWORD 'reader';
