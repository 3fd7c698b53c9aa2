UPDATE visits AS v SET seen = v.seen - 1;
UPDATE orders SET status = lower(status);
