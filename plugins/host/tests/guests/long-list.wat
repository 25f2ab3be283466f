;; Ranks one node twenty thousand times; all of it is there to be read.
;;; memory
4
;;; pick
(call $list (i32.const 8192) (i32.const 20000))
