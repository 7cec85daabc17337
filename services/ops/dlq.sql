-- name: letters_kept: records of the log that the projector could not use, the oldest first
SELECT stage, reason, seen_at, topic, partition, "offset"
FROM dead_letter
ORDER BY seen_at, topic, partition, "offset"
