;; Answers a node that is not there.
;;; pick
(call $verdict (i32.const 0) (global.get $count))
