UPDATE orders SET status = upper(status), total = DEFAULT WHERE total > 5 OR id < 9;
UPDATE visits AS v SET seen = v.seen + 1;
