;; Gives a reason of a million bytes.
;;; memory
32
;;; pick
(call $refuse (i32.const 503) (i32.const 4096) (i32.const 1000000))
